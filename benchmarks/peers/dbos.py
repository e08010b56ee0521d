"""DBOS doing the same eight durable steps: workflows on its queue, taken by two processes, in the same PostgreSQL."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit, urlunsplit

import psycopg

from benchmarks.cpu import CLIENT, WORKERS
from benchmarks.peers import environments
from benchmarks.place import fresh_database
from benchmarks.workers import LOGS, ROOT

PACKAGE: Final = "dbos==3.4.0"
DATABASE: Final = "benchmark_dbos"
PROCESSES: Final = 2
APP: Final = Path(__file__).parent / "apps" / "dbos_app.py"


@dataclass(frozen=True, slots=True)
class Setting:
    """Workflows that one process runs at once (0: as many as it can), and the queue's polling, in seconds."""

    concurrency: int
    polling: float

    def __str__(self) -> str:
        return (
            f"queue, {PROCESSES} processes, {self.concurrency or 'any number'} at once, polled every {self.polling} s"
        )


class DbosWorkflows:
    """DBOS: its client's `enqueue` to success."""

    name = "DBOS workflows"
    settings: Sequence[Setting] = (Setting(32, 0.05), Setting(0, 0.05), Setting(32, 0.01))

    def __init__(self) -> None:
        """LeftOutError when it cannot be had."""
        self._python = environments.python("dbos", PACKAGE)
        self._client: subprocess.Popen[str] | None = None
        self._database: psycopg.Connection[tuple[int]] | None = None

    @contextmanager
    def running(self, setting: Setting) -> Iterator[Mapping[str, Sequence[int]]]:
        """Two processes and a client; a database made anew."""
        address = urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{DATABASE}"))
        fresh_database(os.environ["DATABASE_URL"], DATABASE)
        env = os.environ | {
            "PEER_DATABASE_URL": address,
            "PEER_CONCURRENCY": str(setting.concurrency),
            "PEER_POLLING": str(setting.polling),
        }
        with ExitStack() as stack:
            workers = [stack.enter_context(self._process("work", env)) for _ in range(PROCESSES)]
            self._client = stack.enter_context(self._process("client", env))
            self._database = stack.enter_context(psycopg.connect(address, autocommit=True))
            yield {WORKERS: [worker.pid for worker in workers], CLIENT: [self._client.pid]}

    def submit(self, count: int) -> None:
        """By DBOS's own client, in its own process, whose processor time counts like this one's."""
        assert self._client is not None
        _pipe(self._client.stdin).write(f"{count}\n")
        _pipe(self._client.stdin).flush()
        _wait_for(self._client, "done")

    def left(self) -> int:
        """By its database's word."""
        assert self._database is not None
        asked = "SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"
        row = self._database.execute(asked).fetchone()
        return row[0] if row else 0

    @contextmanager
    def _process(self, role: str, env: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
        LOGS.mkdir(parents=True, exist_ok=True)
        with (LOGS / "dbos.log").open("a") as log:
            command = [str(self._python), str(APP), role]
            pipes = subprocess.PIPE
            started = subprocess.Popen(command, env=env, stdin=pipes, stdout=pipes, stderr=log, text=True, cwd=ROOT)
            try:
                _wait_for(started, "ready")
                yield started
            finally:
                started.kill()
                started.wait()
                _pipe(started.stdin).close()
                _pipe(started.stdout).close()


def _wait_for(process: "subprocess.Popen[str]", word: str) -> None:
    """Until it says the word; LeftOutError when it ends instead."""
    for line in _pipe(process.stdout):
        if line.strip() == word:
            return
    status = process.wait()
    raise environments.LeftOutError(f"DBOS is left out: it ended with {status} before {word!r}; see {LOGS}/dbos.log.")


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
