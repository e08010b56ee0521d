"""G7: messages, transactions and statements per pipeline, counted: what libpq itself says that it sent.

A statement is a Query or an Execute; a transaction ends when the server is ready and idle after one.
"""

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import psycopg
from django.db import connection
from psycopg.pq import Trace

from benchmarks import workers
from benchmarks.apps import TRACE
from benchmarks.figures import number
from benchmarks.goals import GOALS, Measured
from benchmarks.place import Place
from benchmarks.workers import Setting

WARM_UP: Final = 5  # pipelines: afterwards every statement is prepared
SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Of so many pipelines together, or of one."""

    messages: float
    transactions: float
    statements: float

    def each(self, pipelines: int) -> "Counts":
        """Per pipeline."""
        return Counts(self.messages / pipelines, self.transactions / pipelines, self.statements / pipelines)


def count_trace(lines: Iterable[str]) -> tuple[int, int]:
    """(transactions, statements) in libpq's trace of one connection."""
    transactions = statements = 0
    is_open = False
    for line in lines:
        sender, _, rest = line.partition("\t")
        kind = rest.partition("\t")[2].rstrip("\n").split("\t")
        if sender == "F" and kind[0] in ("Query", "Execute"):
            statements += 1
            is_open = True
        elif sender == "B" and kind[0] == "ReadyForQuery" and kind[1:] == [" I"] and is_open:
            transactions += 1
            is_open = False
    return transactions, statements


def begin_trace(raw: psycopg.Connection[Any], file: BinaryIO) -> None:
    """Write down what the connection sends from now on. The file must live as long as it is traced."""
    raw.pgconn.trace(file.fileno())
    raw.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
    _kept.append(file)


_kept: list[BinaryIO] = []


@contextmanager
def traced() -> Iterator[list[int]]:
    """Count what this thread's connection does in the block: [transactions, statements], filled at its end."""
    counted: list[int] = []
    connection.ensure_connection()
    raw = connection.connection
    with tempfile.TemporaryFile("w+") as file:
        raw.pgconn.trace(os.dup(file.fileno()))
        raw.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        try:
            yield counted
        finally:
            raw.pgconn.untrace()
        file.seek(0)
        counted.extend(count_trace(file))


Start = Callable[[], uuid.UUID]


def count(place: Place, start: Start, pipelines: int) -> Counts:
    """Run so many, one after another, by a real worker with one process; the average of one."""
    place.empty()
    with tempfile.TemporaryDirectory() as folder:
        one = Setting("prefork", 1, 1)
        with workers.running("config", "pipeline,commit,rollback", one, {TRACE: folder}):
            for _ in range(WARM_UP):
                wait_for_end(start())
            before, sent = _in_folder(Path(folder)), place.messages()
            accepted = [_start_and_wait(start) for _ in range(pipelines)]
            after, sent = _in_folder(Path(folder)), place.messages() - sent
    transactions = after[0] - before[0] + sum(own[0] for own in accepted)
    statements = after[1] - before[1] + sum(own[1] for own in accepted)
    return Counts(sent, transactions, statements).each(pipelines)


def measure(place: Place, pipelines: int) -> list[Measured]:
    """Of the workflow that does nothing; what the posting's takes, its own writes included, stands beside it."""
    from benchmarks.submissions import start_nothing, start_posting

    empty, posting = count(place, start_nothing, pipelines), count(place, start_posting, pipelines)
    told = f"averages of {pipelines}, accept included, one after another; a posting with its logo takes"
    numbers = {
        "G7a": (empty.messages, posting.messages),
        "G7b": (empty.transactions, posting.transactions),
        "G7c": (empty.statements, posting.statements),
    }
    return [
        Measured(GOALS[goal], value, f"four empty steps, {told} {number(full)}, its steps' own included")
        for goal, (value, full) in numbers.items()
    ]


def wait_for_end(pipeline: uuid.UUID) -> None:
    """Until the pipeline is committed; AssertionError when it ended otherwise, TimeoutError when it does not end."""
    from pipeline.models import Pipeline

    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        row = Pipeline.objects.values("state", "finished_at", "error").get(pk=pipeline)
        if row["finished_at"]:
            assert row["state"] == "committed", row
            return
        time.sleep(0.005)
    raise TimeoutError(f"Pipeline {pipeline} did not end within {SECONDS:.0f} s.")


def _start_and_wait(start: Start) -> list[int]:
    with traced() as counted:
        pipeline = start()
    wait_for_end(pipeline)
    return counted


def _in_folder(folder: Path) -> tuple[int, int]:
    totals = [count_trace(path.read_text(errors="replace").splitlines()) for path in folder.glob("*.trace")]
    return sum(total[0] for total in totals), sum(total[1] for total in totals)
