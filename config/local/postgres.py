"""A real PostgreSQL 18 in the data folder, on a loopback port, with a password of its own."""

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg

from config.local import processes
from config.local.folder import DataFolder, LocalError, write_privately
from config.local.place import Place
from config.local.ports import LOOPBACK, free_port

MAJOR = "18"
USER = "postgres"
DATABASE = "postings"
START_SECONDS = 60.0  # crash recovery after a long run included
STOP_SIGNAL = signal.SIGINT  # a fast shutdown: clients are disconnected, a checkpoint is written
STOP_SECONDS = 10.0
PROGRAM = "postgres"

# The password is 128 random bits: stretching it would only make every connection slower.
INITDB = [
    f"--username={USER}",
    "--auth=scram-sha-256",
    "--set=scram_iterations=16",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
]
ACCESS = "host all all {host}/{bits} scram-sha-256\n"
SETTINGS = {
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "256MB",
    "max_parallel_workers_per_gather": "0",  # every query here is short, and shared memory may be small
    "io_method": "sync",
    "jit": "off",
    "synchronous_commit": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # A worker killed inside a statement frees its lock within a second; a vanished machine in 15 s.
    "client_connection_check_interval": "1000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "1",
    "tcp_user_timeout": "15000",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "lc_messages": "C",
}
# For tests, which kill processes but never the machine.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class Postgres:
    """One server: prepared once, then started, killed and started again on the same port."""

    def __init__(
        self, folder: DataFolder, place: Place, *, durable: bool, say: Callable[[str], None], host: str = LOOPBACK
    ) -> None:
        self._place = place
        self._durable = durable
        self._say = say
        self._host = host
        self._log = folder.logs / "postgres.log"
        self._mark = folder.path
        self._password_file = place.home / "password"
        self.cluster = place.home / "cluster"
        self.port = 0

    def prepare(self) -> None:
        """End a leftover server, make the cluster unless a good one is there, choose a port."""
        if killed := self.clear():
            self._say(f"Ended {killed} PostgreSQL processes that an earlier run left behind.")
        if self.cluster.exists() and (fault := self._fault()):
            aside = _free_name(self._place.home, "cluster-aside")
            self.cluster.rename(aside)
            self._say(f"{self.cluster} {fault}: moved to {aside}, starting with an empty database.")
        if not self.cluster.exists():
            self._say("Creating the PostgreSQL database folder …")
            self._create()
        self.port = free_port()
        self._configure()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server; it is ready once ``wait`` returns."""
        return processes.start(
            [self._place.programs / PROGRAM, "-D", self.cluster],
            env=processes.environment(self._mark),
            log=self._log,
            cwd=self._place.home,
            account=self._place.account,
            dies_by=STOP_SIGNAL,
        )

    def wait(self, server: subprocess.Popen[bytes]) -> None:
        """Wait until it accepts connections and has its database; LocalError with its last words."""
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready(server):
            if processes.is_over(server) or time.monotonic() > deadline:
                said = "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])
                raise LocalError(f"PostgreSQL did not start. Its last lines (all of them in {self._log}):\n{said}")
            time.sleep(0.02)
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=10) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def stop(self, server: subprocess.Popen[bytes]) -> None:
        """End it cleanly."""
        processes.stop([server], STOP_SIGNAL, STOP_SECONDS)
        self.clear()

    def clear(self) -> int:
        """End what a killed server left, its processes being in sessions of their own; how many there were."""
        killed = processes.kill(processes.working_in(self.cluster, PROGRAM))
        # Nobody serves this cluster now. PostgreSQL's own check could take a stranger for the owner.
        with suppress(FileNotFoundError):
            (self.cluster / "postmaster.pid").unlink()
        return killed

    def url(self, database: str = DATABASE) -> str:
        """The address of a database, password included."""
        return f"postgresql://{USER}:{self._password()}@{self._host}:{self.port}/{database}"

    def _fault(self) -> str | None:
        """Why the cluster that is there cannot be used; None when it can."""
        if not self._password_file.exists():
            return "lacks its password file"
        try:
            version = (self.cluster / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return "is not a PostgreSQL database folder"
        except PermissionError:
            raise LocalError(f"{self.cluster} belongs to another user. Name another folder with --data.") from None
        if version != MAJOR:
            return f"was made by PostgreSQL {version}, not {MAJOR}"
        return None

    def _password(self) -> str:
        return self._password_file.read_text()

    def _create(self) -> None:
        """Run initdb beside the final name and rename: an interrupted one is never taken for whole."""
        fresh = self.cluster.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)  # an interrupted one
        fresh.mkdir(mode=0o700)
        self._hand_over(fresh)
        write_privately(self._password_file, secrets.token_hex(16))
        shown = self._place.home / "password.initdb"  # a copy that the account may read
        write_privately(shown, self._password())
        self._hand_over(shown)
        try:
            self._initdb(fresh, shown)
        finally:
            shown.unlink()
        fresh.rename(self.cluster)

    def _initdb(self, fresh: Path, password: Path) -> None:
        account = self._place.account
        where = ["-D", str(fresh), f"--pwfile={password}"]
        made = subprocess.run(
            [str(self._place.programs / "initdb"), *where, *INITDB, *([] if self._durable else ["--no-sync"])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=self._place.home,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        if made.returncode != 0:
            raise LocalError(f"PostgreSQL's initdb failed in {fresh}:\n{(made.stdout + made.stderr).strip()}")

    def _hand_over(self, path: Path) -> None:
        if self._place.account is not None:
            os.chown(path, self._place.account.uid, self._place.account.gid)

    def _configure(self) -> None:
        where = {"listen_addresses": self._host, "port": str(self.port)}
        settings = SETTINGS | where | ({} if self._durable else NOT_DURABLE)
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        self._write("postgresql.conf", "".join(lines))
        # Off loopback (tests/chaos/network.py) its neighbours may come, who are in a network of ours alone.
        self._write("pg_hba.conf", ACCESS.format(host=self._host, bits=32 if self._host == LOOPBACK else 24))

    def _write(self, name: str, text: str) -> None:
        path = self.cluster / name
        write_privately(path, text)
        self._hand_over(path)

    def _is_ready(self, server: subprocess.Popen[bytes]) -> bool:
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        # Line 1 is the server's number (an older file may be there), line 8 its status.
        return len(lines) > 7 and lines[0] == str(server.pid) and lines[7].strip() == "ready"


def _free_name(folder: Path, stem: str) -> Path:
    number = 1
    while (folder / f"{stem}-{number}").exists():
        number += 1
    return folder / f"{stem}-{number}"
