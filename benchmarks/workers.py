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
    """How many pool processes, of which pool, each fetching how many messages ahead."""

    pool: str
    children: int
    prefetch: int

    def __str__(self) -> str:
        return f"{self.pool} {self.children}, prefetch {self.prefetch}"

    def arguments(self) -> list[str]:
        """For the command line."""
        pool = ["--pool", self.pool, "--concurrency", str(self.children), "--prefetch-multiplier", str(self.prefetch)]
        return [*pool, "-O", "fair", "--without-gossip", "--without-mingle", "--without-heartbeat"]


@contextmanager
def running(app: str, queues: str, setting: Setting, extra: Mapping[str, str] | None = None) -> Iterator[int]:
    """One worker of the Celery application while the block runs; the process id that heads its tree.

    It may not take messages yet when the block begins: a first few pipelines or chains are its warming up.
    """
    command = [sys.executable, "-m", "celery", "--app", app, "worker", "--hostname", f"bench-{os.getpid()}@local"]
    command += ["--queues", queues, "--loglevel", "WARNING", *setting.arguments()]
    log = LOGS / f"{app}.log"
    worker = processes.start(command, env=os.environ | dict(extra or {}), log=log, cwd=ROOT)
    try:
        yield worker.pid
    finally:
        stop(worker)


def stop(worker: subprocess.Popen[bytes]) -> None:
    """End it, and whatever is left of its group."""
    processes.stop([worker], signal.SIGTERM, STOP_SECONDS)
