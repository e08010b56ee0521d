"""A real PgBouncer, by the file that docs/poolers.md shows, where the program is installed."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from psycopg import sql

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTED = (ROOT / "docs" / "poolers.md").read_text()
PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
PASSWORD = "of-the-tests"

needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")


def documented(language: str) -> str:
    """The page's only block of that language."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENTED, re.MULTILINE | re.DOTALL)
    return block


class Role:
    """An ordinary role that owns nothing and may use the tests' tables, with or without the documented limits."""

    def __init__(self, name: str) -> None:
        self.name = name
        given = connection.settings_dict
        self.host, self.port, self.database = given["HOST"], given["PORT"], given["NAME"]

    @property
    def direct(self) -> str:
        """PostgreSQL's own address."""
        return f"postgresql://{self.name}:{PASSWORD}@{self.host}:{self.port}/{self.database}"

    def limit(self) -> None:
        """Run what the page says, as the role itself."""
        with psycopg.connect(self.direct, autocommit=True) as session:
            for statement in documented("sql").strip().split(";\n"):
                session.execute(statement.replace("DATABASE postings", f"DATABASE {self.database}"))

    def unlimit(self) -> None:
        with psycopg.connect(self.direct, autocommit=True) as session:
            session.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {self.database} RESET ALL")


@contextmanager
def ordinary_role() -> Iterator[Role]:
    """Make one, with the limits; dropped afterwards."""
    role = Role(f"pooled_{os.getpid()}")
    with connection.cursor() as cursor:
        name = sql.Identifier(role.name)
        cursor.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, PASSWORD))
        for what in ("TABLES", "SEQUENCES"):
            cursor.execute(sql.SQL(f"GRANT ALL ON ALL {what} IN SCHEMA public TO {{}}").format(name))
    role.limit()
    try:
        yield role
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", [role.name]
            )
            cursor.execute(sql.SQL("DROP OWNED BY {}").format(name))
            cursor.execute(sql.SQL("DROP ROLE {}").format(name))


class PgBouncer:
    """One process; `postings` is in transaction mode and `owners` in session mode."""

    def __init__(self, folder: Path, role: Role, **changes: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._role, self._folder = role, folder
        self._ini, self._log = folder / f"pgbouncer-{self.port}.ini", folder / f"pgbouncer-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None
        users = folder / "userlist.txt"
        users.write_text(f'"{role.name}" "{PASSWORD}"\n')
        self._changes = {
            "listen_port = 6432": f"listen_port = {self.port}",
            "/etc/pgbouncer/userlist.txt": str(users),
            "host=127.0.0.1 port=5432 dbname=postings": f"host={role.host} port={role.port} dbname={role.database}",
        }
        self.configure(**changes)

    def configure(self, *, owners_mode: str = "session", **changes: str) -> None:
        """Write the documented file, with further lines that end it and so stand over those before."""
        text = documented("ini").replace("pool_mode=session", f"pool_mode={owners_mode}")
        for documented_text, ours in self._changes.items():
            assert documented_text in text
            text = text.replace(documented_text, ours)
        own = {"unix_socket_dir": "", "admin_users": self._role.name} | changes
        self._ini.write_text(text + "".join(f"{name} = {value}\n" for name, value in own.items()))

    def url(self, pool: str = "postings") -> str:
        return f"postgresql://{self._role.name}:{PASSWORD}@127.0.0.1:{self.port}/{pool}"

    def start(self) -> "PgBouncer":
        assert PROGRAM is not None
        account = ["-u", "nobody"] if os.geteuid() == 0 else []  # it refuses root
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, *account, str(self._ini)], stdout=log, stderr=log)
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < until, self._log.read_text()
                time.sleep(0.02)
            else:
                return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def pause(self) -> None:
        """It takes no time from here on: sockets stay open, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def tell(self, command: str) -> None:
        """A command of its console: RECONNECT, RELOAD, …"""
        with psycopg.connect(self.url("pgbouncer"), autocommit=True, prepare_threshold=None) as console:
            console.pgconn.exec_(command.encode())

    def log(self) -> str:
        return self._log.read_text()


@contextmanager
def pgbouncer(role: Role, **changes: str) -> Iterator[PgBouncer]:
    """Started, and ended afterwards. Its folder can be read by the account that it runs as."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        server = PgBouncer(Path(name), role, **changes)
        try:
            yield server.start()
        finally:
            server.stop()
