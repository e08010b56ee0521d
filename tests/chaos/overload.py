"""More than the machine can do at once: 100 submissions a second for a minute, against providers that take 300 ms."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psutil

from tests.chaos import checks, figures
from tests.chaos.customers import Customers
from tests.chaos.mix import PLAIN, Submission, submissions
from tests.chaos.place import Place
from tests.chaos.schedule import PROVIDERS
from tests.chaos.storm import world

# As production has them (docker-compose.yml): what is decided has workers of its own.
WORKERS: Final = {"worker": "pipeline", "worker-2": "commit,rollback"}
# Providers that take 300 ms leave a process idle most of its time: threads wait for less memory than processes.
POOL: Final = ("threads", 32)
# New work gives way to accepting it and to what is decided: the customers wait for those.
NICE: Final = {"worker": 10}
EXTRA: Final = {"SMS_ENABLED": "", "INDEXING_ENABLED": ""}
PER_SECOND: Final = 100
LATENCY: Final = 0.3  # seconds that every provider takes for every answer
LATE: Final = 1.1  # of the planned time: whose last submission is answered later did not keep up
LONGEST: Final = 900.0  # seconds for the backlog to drain
LOOK_EVERY: Final = 10.0
# From the first quarter on, when everything is imported and every thread has its connections, a program's memory
# may grow by this share and by so many MiB: the rest of the run is three times as long.
GROWTH, SPARE = 1.2, 20
# A commit may wait for this share of what staging waits: it has queues and processes of its own.
COMMIT_SHARE: Final = 0.2
COMMIT_SECONDS: Final = 10.0

Say = Callable[[str], None]


@dataclass
class Watch:
    """Memory of every process, and how the backlog goes, every few seconds."""

    place: Place
    say: Say
    memory: dict[str, list[int]] = field(default_factory=dict)  # MiB of each program's whole tree
    backlog: list[int] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Until it is over."""
        from django.db import connection

        from pipeline.models import Pipeline

        while not self.over.is_set():
            for name, pid in self.place.supervisor.pids().items():
                self.memory.setdefault(name, []).append(_memory(pid))
            self.backlog.append(Pipeline.objects.filter(finished_at=None).count())
            self.say(f"  {self.backlog[-1]} unfinished")
            self.over.wait(LOOK_EVERY)
        connection.close()


def _memory(pid: int) -> int:
    """MiB that the tree holds alone: shared pages are counted once, where they belong."""
    total = 0
    try:
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            total += process.memory_full_info().uss
    except psutil.Error:
        return 0
    return total // 2**20


def overload(place: Place, seed: int, seconds: float, say: Say) -> tuple[dict[str, Any], list[str]]:
    """(figures, violations)."""
    asked = submissions(seed, int(PER_SECOND * seconds), 1 / PER_SECOND, world(place), PLAIN, copies=False)
    for provider in PROVIDERS:
        place.tell("faults", {"provider": provider, "kind": "latency", "seconds": LATENCY})
    customers = Customers(place.web, place.sandbox, place.chaos / "answers")
    watch = Watch(place, say)
    looking = threading.Thread(target=watch.look, daemon=True)
    looking.start()
    say(f"{len(asked)} submissions in {seconds:.0f} s; every provider takes {LATENCY * 1000:.0f} ms …")
    began = time.monotonic()
    customers.serve(asked)
    arrived = time.monotonic() - began
    took, left = _drained()
    watch.over.set()
    looking.join()
    place.clear_faults()
    return _reckon(place, asked, customers, watch, arrived, took, left)


def _drained() -> tuple[float, int]:
    from pipeline.models import Pipeline

    began = time.monotonic()
    while (left := Pipeline.objects.filter(finished_at=None).count()) and time.monotonic() - began < LONGEST:
        time.sleep(1)
    return time.monotonic() - began, left


def _reckon(
    place: Place,
    asked: Sequence[Submission],
    customers: Customers,
    watch: Watch,
    arrived: float,
    took: float,
    left: int,
) -> tuple[dict[str, Any], list[str]]:
    rows = checks.pipelines()
    waits = waiting_times()
    violations = [
        *late(arrived, asked[-1].at),
        *([f"{left} pipelines were not done {LONGEST:.0f} s after the last submission"] if left else []),
        *customers.odd,
        *checks.customers_agree(customers.log, rows),
        *checks.agree_with_outside(place, rows, asked),
        *checks.expected_ends(rows, asked)[0],
        *starved(waits),
        *grown(watch.memory),
        *checks.verified(place),
    ]
    facts: dict[str, Any] = {
        "pipelines": len(rows),
        "submitted within": f"{arrived:.1f} s, planned {asked[-1].at:.1f} s: {len(asked) / arrived:.1f} a second",
        "accepting, from its time on": figures.spread(customers.since_due),
        "drained after": f"{took:.1f} s, {len(rows) / (arrived + took):.1f} pipelines a second in all",
        "largest backlog": max(watch.backlog, default=0),
        **{f"waiting: {name}": figures.spread(values) for name, values in waits.items()},
        "memory, MiB first/most/last": {
            name: f"{seen[0]}/{max(seen)}/{seen[-1]}" for name, seen in watch.memory.items() if seen
        },
    }
    return facts, violations


def waiting_times() -> dict[str, list[float]]:
    """Seconds from acceptance to the first stage job; from the decision to its first job, and to the end."""
    from django.db import connection

    question = """
        SELECT extract(epoch FROM staging - accepted), extract(epoch FROM begun - decided),
               extract(epoch FROM ended - decided), turned
        FROM (SELECT pipeline_id,
                     min(at) FILTER (WHERE type = 'accepted') AS accepted,
                     min(at) FILTER (WHERE type = 'staging_started') AS staging,
                     min(at) FILTER (WHERE type IN ('decided_commit', 'decided_rollback')) AS decided,
                     min(at) FILTER (WHERE type IN ('commit_started', 'rollback_started')) AS begun,
                     max(at) FILTER (WHERE type IN ('pipeline_committed', 'pipeline_rolled_back')) AS ended,
                     bool_or(type = 'decided_rollback') AS turned
              FROM pipeline_event GROUP BY pipeline_id) told"""
    with connection.cursor() as cursor:
        cursor.execute(question)
        rows = cursor.fetchall()
    return {
        "accepted to staging": [float(row[0]) for row in rows if row[0] is not None],
        "decided to committing": [float(row[1]) for row in rows if row[1] is not None and not row[3]],
        "decided to rolling back": [float(row[1]) for row in rows if row[1] is not None and row[3]],
        "decided to committed": [float(row[2]) for row in rows if row[2] is not None and not row[3]],
        "decided to rolled back": [float(row[2]) for row in rows if row[2] is not None and row[3]],
    }


def late(took: float, planned: float) -> list[str]:
    """Whether the customers came at their times, and all were answered soon after the last."""
    if took <= LATE * planned:
        return []
    return [f"accepting did not keep up: all were answered after {took:.1f} s instead of {planned:.1f} s"]


def starved(waits: Mapping[str, Sequence[float]]) -> list[str]:
    """Jobs after the decision that waited behind new work."""
    staging = figures.spread(waits["accepted to staging"]).p99 or 0.0
    limit = max(COMMIT_SECONDS, COMMIT_SHARE * staging)
    found = []
    for name in ("decided to committing", "decided to rolling back"):
        waited = figures.spread(waits[name]).p99
        if waited is not None and waited > limit:
            found.append(f"starved: {name} took {waited} s (p99) while staging waited {staging} s")
    return found


def grown(memory: Mapping[str, Sequence[int]]) -> list[str]:
    """Programs of ours whose memory did not stay flat. PostgreSQL fills its buffers, the sandbox its ledger."""
    found = []
    for name, seen in memory.items():
        warm = seen[len(seen) // 4] if seen else 0
        if name.startswith(("web", "worker")) and warm and seen[-1] > GROWTH * warm + SPARE:
            found.append(f"memory: {name} grew from {warm} to {seen[-1]} MiB")
    return found
