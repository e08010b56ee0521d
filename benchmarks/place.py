"""Where a run happens: a database of its own, made anew, beside whatever else the server holds, and a sandbox."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import redis
from psycopg import sql

from benchmarks.workers import LOGS, ROOT
from config.local import processes
from config.local.ports import LOOPBACK, free_port

DATABASE: Final = "benchmark"
READY_SECONDS: Final = 30.0
# As benchmarks/settings.py and benchmarks/bare.py name their keys.
KEYS: Final = ("bench:*", "bare:*")


@dataclass(frozen=True, slots=True)
class Place:
    """The broker, and the sandbox's base URL."""

    broker: redis.Redis
    sandbox: str

    def empty(self) -> None:
        """Forget every pipeline, posting and message of this run so far."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE pipeline_pipeline, pipeline_event, postings_posting, pipeline_inbox CASCADE")
        for pattern in KEYS:
            for key in self.broker.scan_iter(pattern):
                self.broker.delete(key)

    def messages(self) -> int:
        """How many messages were published through this broker so far."""
        pushed: Any = self.broker.info("commandstats")
        return int(pushed.get("cmdstat_lpush", {}).get("calls", 0))

    def postmaster(self) -> list[int]:
        """The process that heads the PostgreSQL server; none when it runs on another machine."""
        from django.db import connection

        from benchmarks.cpu import postmaster

        connection.ensure_connection()
        pid = postmaster(connection.connection)
        return [] if pid is None else [pid]


@contextmanager
def taken() -> Iterator[Place]:
    """Make the database anew, point the environment at it, start a sandbox, set Django up and migrate.

    DATABASE_URL and BROKER_URL name the servers; `make bench` starts both.
    """
    os.environ["DATABASE_URL"] = fresh_database(os.environ["DATABASE_URL"], DATABASE)
    os.environ |= {"DJANGO_SETTINGS_MODULE": "benchmarks.settings", "LOG_LEVEL": "ERROR", "DATABASE_POOL": ""}
    with tempfile.TemporaryDirectory() as folder, _sandbox(Path(folder)) as address:
        os.environ["SANDBOX_URL"] = address

        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        call_command("bootstrap_demo", stdout=open(os.devnull, "w"))  # noqa: SIM115, PTH123 - nobody reads it
        with redis.Redis.from_url(os.environ["BROKER_URL"]) as broker:
            place = Place(broker, address)
            place.empty()
            yield place
            place.empty()


def fresh_database(server: str, database: str) -> str:
    """Make an empty one of that name beside the one that the URL names; its own URL."""
    with psycopg.connect(server, autocommit=True) as connection:
        name = sql.Identifier(database)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    return urlunsplit(urlsplit(server)._replace(path=f"/{database}"))


@contextmanager
def _sandbox(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--data", str(folder)]
    server = processes.start(command, env=os.environ, log=LOGS / "sandbox.log", cwd=ROOT)
    address = f"http://{LOOPBACK}:{port}"
    try:
        wait_for(f"{address}/_sandbox/health")
        yield address
    finally:
        processes.stop([server], signal.SIGTERM, 5)


def wait_for(url: str) -> None:
    """Until the URL answers 200; TimeoutError when it does not."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"{url} did not answer within {READY_SECONDS:.0f} s; see {LOGS}.")
