"""The demo's programs: PostgreSQL, Redis, the sandbox, the web server and two workers."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import requests

from config import celery_app
from config.local import processes
from config.local.folder import DataFolder, LocalError
from config.local.ports import LOOPBACK, free_port
from config.local.postgres import STOP_SECONDS, STOP_SIGNAL
from config.local.services import Services, end_leftovers
from config.local.supervisor import Program, Supervisor

ROOT = Path(__file__).resolve().parents[2]
QUEUES = "pipeline,commit,rollback"
WORKERS: Mapping[str, str] = {"worker": QUEUES, "worker-2": QUEUES}  # each name with the queues it takes from
CHILDREN = 2
READY_SECONDS = 60.0
MAX_FAILURES = 2
ADMIN = "admin"
# A shell's own settings must not turn the demo to real providers or to another database.
NOT_INHERITED = (
    "AWS_", "BROKER_", "CACHE_", "CELERY_", "DATABASE_", "DJANGO_", "GOOGLE_", "MODERN_TREASURY_",
    "PAUSE_", "PIPELINE_", "RECAPTCHA_BASE", "RECAPTCHA_S", "S3_", "SANDBOX_", "SENDGRID_",
    "STRIPE_", "SUPABASE_", "TWILIO_",
)  # fmt: skip


@dataclass
class Stack:
    """Everything the demo runs, on one data folder and one listening socket."""

    folder: DataFolder
    listening: socket.socket
    say: Callable[[str], None]
    supervisor: Supervisor
    services: Services
    workers: Mapping[str, str] = field(default_factory=lambda: WORKERS)
    pool: str = "prefork"
    children: int = CHILDREN  # its processes or threads, for each worker
    nice: Mapping[str, int] = field(default_factory=dict)  # workers that give way to the others, and how far
    host: str = LOOPBACK  # where the servers and the sandbox listen
    extra: Mapping[str, str] = field(default_factory=dict)  # variables that stand over the demo's own
    sandbox_port: int = field(default_factory=free_port)
    env: dict[str, str] = field(default_factory=dict)

    @property
    def web(self) -> str:
        """Base URL of the web server."""
        host, port = self.listening.getsockname()
        return f"http://{host}:{port}"

    @property
    def sandbox(self) -> str:
        """Base URL of the sandbox."""
        return f"http://{self.host}:{self.sandbox_port}"

    def admin(self) -> dict[str, str]:
        """The admin's login."""
        return {"username": ADMIN, "password": self.folder.secrets()["admin_password"]}

    def start(self) -> None:
        """Start everything, in order, and wait until web, sandbox and workers answer."""
        self.say("Starting PostgreSQL, Redis and the sandbox …")
        self._start_servers()
        self.say("Preparing the database …")
        self._prepare()
        self.say("Starting the web server and two workers …")
        self._start_product()

    def stop(self) -> None:
        """End the programs first, then the servers they use."""
        self.supervisor.stop([*self.workers, "web", "sandbox"])
        self.supervisor.stop()
        # What a signal kept from being noted, in the moment between its start and the next line.
        end_leftovers(self.folder)
        self.services.clear()

    def _start_servers(self) -> None:
        self.services.redis.prepare()
        self.services.postgres.prepare()
        postgres, redis = self.services.postgres, self.services.redis
        database = self.supervisor.start(
            Program("postgres", postgres.start, postgres.clear, stop_with=STOP_SIGNAL, stop_seconds=STOP_SECONDS)
        )
        self.supervisor.start(Program("redis", lambda: redis.wait(redis.start())))
        self.supervisor.start(Program("sandbox", self._start_sandbox))
        postgres.wait(database)
        self._wait_for("sandbox", f"{self.sandbox}/_sandbox/health")
        self.env = self._environment()

    def _environment(self) -> dict[str, str]:
        keys = requests.get(f"{self.sandbox}/_sandbox/keys", timeout=5).json()
        kept = self.folder.secrets()
        inherited = processes.environment(self.folder.path)
        clean = {name: value for name, value in inherited.items() if not name.startswith(NOT_INHERITED)}
        return clean | {
            **self.services.environment(),
            "ADMIN_PASSWORD": kept["admin_password"],
            "ADMIN_USERNAME": ADMIN,
            "ALLOWED_HOSTS": f"{LOOPBACK},localhost",
            "DEMO": "1",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "MALLOC_ARENA_MAX": "2",  # as in the Dockerfile
            "PIPELINE_SECRET_KEYS": kept["pipeline_secret_key"],
            "SANDBOX_URL": self.sandbox,
            "SECRET_KEY": kept["secret_key"],
            "SENDGRID_WEBHOOK_PUBLIC_KEY": keys["sendgrid_public_key"],
            "SITE_URL": self.web,
            "STATIC_ROOT": str(self.folder.path / "static"),
            "STRIPE_WEBHOOK_SECRET": keys["stripe_webhook_secret"],
            **self.extra,
        }

    def _prepare(self) -> None:
        log = self._log("prepare")
        process = processes.start([sys.executable, "-m", "config.local.prepare"], env=self.env, log=log, cwd=ROOT)
        if processes.finish(process) != 0:
            raise LocalError(f"The database could not be prepared. Its last lines (all in {log}):\n{_tail(log)}")

    def _start_product(self) -> None:
        self.supervisor.start(Program("web", self._start_web))
        for name, queues in self.workers.items():
            self.supervisor.start(Program(name, partial(self._start_worker, name, queues)))
        self._wait_for("web", f"{self.web}/readyz")
        self._wait_for_workers()

    def _start_sandbox(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "sandbox", "--host", self.host, "--port", str(self.sandbox_port)]
        command += ["--data", str(self.folder.path / "sandbox")]
        for provider in ("stripe", "sendgrid"):
            command += [f"--{provider}-webhook-url", f"{self.web}/webhooks/{provider}/"]
        return processes.start(command, env=processes.environment(self.folder.path), log=self._log("sandbox"), cwd=ROOT)

    def _start_web(self) -> subprocess.Popen[bytes]:
        # A broker that swallows packets holds a request up for this long, once.
        env = self.env | {"DATABASE_POOL": "1", "BROKER_SOCKET_TIMEOUT": "1.5"}
        command = [sys.executable, "-m", "config.local.web", str(self.listening.fileno())]
        return self._start_program("web", command, env, [self.listening.fileno()])

    def _start_worker(self, name: str, queues: str) -> subprocess.Popen[bytes]:
        command = ["nice", "-n", str(self.nice[name])] if name in self.nice else []
        command += [sys.executable, "-m", "celery", "--app", "config", "worker", "--hostname", _node(name)]
        command += ["--queues", queues, "--pool", self.pool, "--concurrency", str(self.children)]
        command += ["-O", "fair", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]
        return self._start_program(name, command, self.env)

    def _start_program(
        self, name: str, command: Sequence[str], env: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        """Web, or a worker."""
        return processes.start(command, env=env, log=self._log(name), cwd=ROOT, pass_fds=pass_fds)

    def _wait_for(self, name: str, url: str) -> None:
        """Until the URL answers 200; LocalError with the program's last lines when it does not."""
        deadline = time.monotonic() + READY_SECONDS
        answer = "no answer"
        while time.monotonic() < deadline and self.supervisor.failures(name) < MAX_FAILURES:
            try:
                response = requests.get(url, timeout=5)
            except requests.RequestException as error:
                answer = f"{type(error).__name__} at {url}"
            else:
                if response.status_code == requests.codes.ok:
                    return
                answer = f"{response.status_code}: {response.text[:300]}"
            time.sleep(0.05)
        log = self._log(name)
        raise LocalError(f"{name} did not become ready ({answer}). Its last lines (all in {log}):\n{_tail(log)}")

    def _wait_for_workers(self) -> None:
        """Until every worker answers a ping over the broker, which it does once it takes messages."""
        os.environ.update(self.env)  # from which the application reads its settings at its first use
        nodes = [_node(name) for name in self.workers]
        deadline = time.monotonic() + READY_SECONDS
        while len(celery_app.control.ping(destination=nodes, timeout=1.0, limit=len(nodes)) or []) < len(nodes):
            failing = [name for name in self.workers if self.supervisor.failures(name) >= MAX_FAILURES]
            if failing or time.monotonic() > deadline:
                log = self._log(failing[0] if failing else next(iter(self.workers)))
                raise LocalError(f"The workers do not answer. Last lines of {log}:\n{_tail(log)}")

    def _log(self, name: str) -> Path:
        return self.folder.logs / f"{name}.log"


def _node(name: str) -> str:
    return f"{name}@demo"


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
