"""A real RabbitMQ in the data folder, on loopback ports, where `rabbitmq-server` is installed."""

import os
import secrets
import shutil
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kombu import Connection
from kombu.exceptions import OperationalError

from config.local import processes
from config.local.folder import DataFolder, LocalError, write_privately
from config.local.ports import LOOPBACK, free_port
from config.local.supervisor import Program
from tests.chaos.place import Place

# Debian's program on PATH turns to a user and folders of its own; the one beside it does not.
PLACES: Final = (Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),)
START_SECONDS: Final = 90.0
QUEUES: Final = ("pipeline", "commit", "rollback")

CONFIGURATION: Final = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_user = chaos
default_pass = {password}
disk_free_limit.absolute = 50MB
log.console = true
log.file = false
"""


def program() -> Path | None:
    """The server's start script; None where it is not installed."""
    for path in PLACES:
        if path.exists():
            return path
    found = shutil.which("rabbitmq-server")
    return Path(found) if found else None


@dataclass
class RabbitMQ:
    """One node: prepared once, then started, killed and started again on the same ports."""

    folder: DataFolder
    port: int = field(default_factory=free_port)
    _epmd: int = field(default_factory=free_port)
    _distribution: int = field(default_factory=free_port)
    _password: str = field(default_factory=lambda: secrets.token_hex(12))

    @property
    def home(self) -> Path:
        """Everything of the node's."""
        return self.folder.path / "rabbitmq"

    def url(self) -> str:
        """Its address, password included."""
        return f"amqp://chaos:{self._password}@{LOOPBACK}:{self.port}//"

    def prepare(self) -> None:
        """An empty node."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        write_privately(self.home / "rabbitmq.conf", CONFIGURATION.format(port=self.port, password=self._password))
        (self.home / "plugins").write_text("[].\n")

    def start(self) -> subprocess.Popen[bytes]:
        """Start it; it takes messages once `wait` returns."""
        script = program()
        if script is None:
            raise LocalError("rabbitmq-server is not installed here: install it (apt-get install rabbitmq-server).")
        own = {
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self._epmd),
            "HOME": str(self.home),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "plugins"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_NODENAME": f"chaos-{self.port}@localhost",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        env = processes.environment(self.folder.path, own)
        return processes.start([script], env=env, log=self.folder.logs / "rabbitmq.log", cwd=self.home)

    def wait(self) -> None:
        """Until it takes connections."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            with suppress(OperationalError, OSError), Connection(self.url(), connect_timeout=2) as link:
                link.ensure_connection(max_retries=1, timeout=2)
                return
            time.sleep(0.3)
        raise LocalError(f"RabbitMQ did not start: see {self.folder.logs / 'rabbitmq.log'}.")

    def forget(self) -> None:
        """End the daemon by which Erlang's nodes find each other; it outlives the node that started it."""
        own = {"ERL_EPMD_ADDRESS": LOOPBACK, "ERL_EPMD_PORT": str(self._epmd)}
        subprocess.run(["epmd", "-kill"], env=os.environ | own, check=False, capture_output=True)

    def purge(self) -> int:
        """Every message that no worker has yet is gone."""
        with Connection(self.url(), connect_timeout=3) as link:
            channel = link.channel()
            return sum(int(channel.queue_purge(queue)) for queue in QUEUES)


class RabbitPlace(Place):
    """The stack on RabbitMQ. Redis stays for the cache, which counts requests."""

    rabbit: RabbitMQ

    def _start_servers(self) -> None:
        self.rabbit = RabbitMQ(self.folder)
        self.rabbit.prepare()
        self.extra = {**self.extra, "BROKER_URL": self.rabbit.url()}
        self.supervisor.start(Program("rabbitmq", self.rabbit.start, stop_seconds=15))
        super()._start_servers()
        self.rabbit.wait()
