"""Where a run happens: the demo's own stack, made anew in a data folder of its own, with chaos settings."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import requests
from psycopg import sql

from config.local.folder import DataFolder
from config.local.ports import LOOPBACK, listen
from config.local.services import Services, end_leftovers
from config.local.stack import CHILDREN, QUEUES, ROOT, Stack
from config.local.supervisor import Supervisor

DATA = ROOT / ".data" / "chaos"
WORKERS: Mapping[str, str] = {"worker": QUEUES, "worker-2": QUEUES, "worker-3": QUEUES}
QUOTA = 1_000_000  # Google's notifications a day: its 200 would end after the first minutes


@dataclass
class Place(Stack):
    """The stack of one run, with an empty database, broker and outside world."""

    def _start_servers(self) -> None:
        super()._start_servers()
        with psycopg.connect(self.services.postgres.url("postgres"), autocommit=True) as connection:
            name = sql.Identifier("postings")
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        self.services.redis.flush()
        self.tell("reset", {})
        self.tell("google/quota", {"limit": QUOTA})

    @property
    def chaos(self) -> Path:
        """Where the armed processes look for orders and write what they did."""
        return self.folder.path / "run"

    def tell(self, path: str, body: Any) -> Any:
        """POST to the sandbox's controls."""
        return self._steer("POST", path, body)

    def ask(self, path: str) -> Any:
        """GET from the sandbox's controls."""
        return self._steer("GET", path, None)

    def clear_faults(self) -> None:
        """No fault strikes any more."""
        self._steer("DELETE", "faults", None)

    def ledger(self) -> list[dict[str, Any]]:
        """Everything that happened outside, in order."""
        entries: list[dict[str, Any]] = self.ask("ledger")["entries"]
        return entries

    def _steer(self, method: str, path: str, body: Any) -> Any:
        answer = requests.request(method, f"{self.sandbox}/_sandbox/{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`manage.py` in the environment of the run."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)


def _emptied(folder: DataFolder) -> Path:
    run = folder.path / "run"
    shutil.rmtree(run, ignore_errors=True)
    for name in ("orders", "obeyed"):
        (run / name).mkdir(parents=True)
    for log in folder.logs.glob("*"):
        log.unlink()
    return run


@contextmanager
def running(
    say: Callable[[str], None],
    *,
    durable_broker: bool = True,
    workers: Mapping[str, str] = WORKERS,
    extra: Mapping[str, str] | None = None,
    pool: tuple[str, int] = ("prefork", CHILDREN),
    nice: Mapping[str, int] | None = None,
    kind: Callable[..., Place] = Place,
    data: Path = DATA,
    host: str = LOOPBACK,
    listening_at: Callable[[], socket.socket] = lambda: listen(None, 8000),
) -> Iterator[Place]:
    """The whole stack while the block runs, with Django set up in this process."""
    folder = DataFolder(data)
    with folder.claimed("chaos run"), listening_at() as listening:
        end_leftovers(folder)
        run = _emptied(folder)
        services = Services.of(folder, durable=True, durable_broker=durable_broker, say=say, host=host)
        chaos = {
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "CHAOS_FOLDER": str(run),
            "INDEXING_DAILY_QUOTA": str(QUOTA),
            "INDEXING_ENABLED": "1",
            "PAYMENT_WAITING_SECONDS": "15",
            "PYTHONPATH": str(ROOT),
            "SMS_ENABLED": "1",
        }
        place = kind(folder, listening, say, Supervisor(say=_to(run / "supervisor")), services)
        place.workers, place.extra, place.host = workers, chaos | dict(extra or {}), host
        place.pool, place.children = pool
        place.nice = nice or {}
        try:
            place.start()
            write_processes(place)
            place.supervisor.changed = lambda: write_processes(place)
            _set_up(place.env)
            yield place
        finally:
            place.stop()


def _to(path: Path) -> Callable[[str], None]:
    def say(line: str = "") -> None:
        with path.open("a") as out:
            out.write(f"{line}\n")

    return say


def write_processes(place: Place) -> None:
    """For a person who watches."""
    (place.chaos / "processes.json").write_text(json.dumps(place.supervisor.pids()))


def _set_up(env: Mapping[str, str]) -> None:
    os.environ.update(env)
    import django

    django.setup()
