"""Real worker processes, as production starts them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.local import processes

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / ".data" / "bench" / "logs"
STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Setting:
    """A worker's pool, how many jobs it runs at once, how many messages it fetches ahead for each; how many workers."""

    pool: str
    children: int
    prefetch: int
    workers: int = 1

    def __str__(self) -> str:
        many = f"{self.workers} x " if self.workers > 1 else ""
        return f"{many}{self.pool} {self.children}, prefetch {self.prefetch}"

    def arguments(self) -> list[str]:
        """For the command line."""
        pool = ["--pool", self.pool, "--concurrency", str(self.children), "--prefetch-multiplier", str(self.prefetch)]
        fair = ["-O", "fair"] if self.pool == "prefork" else []
        return [*pool, *fair, "--without-gossip", "--without-mingle", "--without-heartbeat"]


@contextmanager
def running(app: str, queues: str, setting: Setting, extra: Mapping[str, str] | None = None) -> Iterator[list[int]]:
    """Workers of the Celery application while the block runs; the process ids that head their trees.

    They may not take messages yet when the block begins: a first few pipelines or chains are their warming up.
    """
    env = os.environ | dict(extra or {})
    if setting.pool == "gevent":
        env |= {"PYTHONPATH": str(gevent())}
    workers = [_start(app, queues, setting, number, env) for number in range(setting.workers)]
    try:
        yield [worker.pid for worker in workers]
    finally:
        processes.stop(workers, signal.SIGTERM, STOP_SECONDS)


def gevent() -> Path:
    """Where gevent is, which the project itself does not need; LeftOutError."""
    from benchmarks.peers import environments

    return environments.beside("gevent", "gevent==26.9.0")


def stop(worker: "subprocess.Popen[bytes]") -> None:
    """End it, and whatever is left of its group."""
    processes.stop([worker], signal.SIGTERM, STOP_SECONDS)


def _start(app: str, queues: str, setting: Setting, number: int, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    name = f"bench-{os.getpid()}-{number}@local"
    command = [sys.executable, "-m", "celery", "--app", app, "worker", "--hostname", name, "--queues", queues]
    command += ["--loglevel", "WARNING", *setting.arguments()]
    return processes.start(command, env=env, log=LOGS / f"{app}.log", cwd=ROOT)
