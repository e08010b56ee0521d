"""Processor seconds, by whom: what a pipeline costs, however busy the machine is with other things."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil
import psycopg
import redis

CLIENT: Final = "client"
WORKERS: Final = "workers"
DATABASE: Final = "PostgreSQL"
BROKER: Final = "Redis"
SERVER: Final = "its server"


@dataclass(frozen=True, slots=True)
class Processes:
    """The heads of the process trees that take part, by part; one on another machine counts 0.

    This process is a client; the broker is asked by its own protocol.
    """

    heads: Mapping[str, Sequence[int]]
    broker: redis.Redis

    def spent(self) -> dict[str, float]:
        """User and system seconds of each part so far."""
        spent = {part: sum(_of_tree(pid) for pid in pids) for part, pids in self.heads.items()}
        spent[CLIENT] = spent.get(CLIENT, 0.0) + sum(psutil.Process().cpu_times()[:2])
        info = self.broker.info("cpu")
        return spent | {BROKER: float(info["used_cpu_user"]) + float(info["used_cpu_sys"])}


def difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What was spent between two readings, by part."""
    return {part: after[part] - before[part] for part in after}


def postmaster(connection: psycopg.Connection[tuple[object, ...]]) -> int | None:
    """The process that heads the PostgreSQL server; None when the server is on another machine."""
    with suppress(psutil.Error):
        backend = psutil.Process(connection.info.backend_pid)
        if "postgres" in backend.name():
            return backend.ppid()
    return None


def _of_tree(pid: int) -> float:
    """Of a process, its living descendants, and those that ended and were waited for."""
    head = psutil.Process(pid)
    total = 0.0
    for process in [head, *head.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])  # user, system, and both of children waited for
    return total
