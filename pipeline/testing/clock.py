"""Time that moves when a test says so: rows are aged, so that the code under test needs no clock of its own.

The clock by which a worker knows how old its lease is moves along, as it does in a process that was stopped. What
a step's author keeps in `data` (a hold's expiry, say) is not touched: age it in the test.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from pipeline import executor, hold
from pipeline.models import Circuit, Event, Pipeline, Step

_PIPELINE = ("due_at", "deadline_at", "created_at", "updated_at", "attention_told_at")
_STEP = ("due_at", "lease_until", "started_at", "verb_started_at", "finished_at")
_NOTHING = timedelta(0)


def advance(by: timedelta, pipeline: uuid.UUID | None = None) -> None:
    """Let that much time pass for every unfinished pipeline, or for one: whatever was due then is due now.

    A verb that calls this is a process that was stopped in the middle: afterwards its lease may be over.
    """
    if pipeline is None:
        _workers.passed += by.total_seconds()
        Circuit.objects.update(opened_at=F("opened_at") - by, retry_at=F("retry_at") - by)
    with transaction.atomic():
        pipelines = Pipeline.objects.filter(finished_at=None)
        if pipeline is not None:
            pipelines = pipelines.filter(pk=pipeline)
        ids = list(pipelines.select_for_update().values_list("pk", flat=True))
        Pipeline.objects.filter(pk__in=ids).update(**{name: F(name) - by for name in _PIPELINE})
        Step.objects.filter(pipeline__in=ids).update(**{name: F(name) - by for name in _STEP})
        Event.objects.filter(pipeline__in=ids).update(at=F("at") - by)
        for step in Step.objects.filter(pipeline__in=ids).exclude(calls={}):
            Step.objects.filter(pk=step.pk).update(calls=_aged(step.calls, by))


def until_due(pipeline: uuid.UUID) -> timedelta:
    """How long it is until somebody looks at the pipeline again; zero when that is now or never."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT due_at - now() FROM pipeline_pipeline WHERE id = %s", [pipeline])
        row = cursor.fetchone()
    return max(row[0], _NOTHING) if row and row[0] is not None else _NOTHING


class _WorkersTime:
    """Stands for the module `time` in the engine."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        """As time.monotonic, and what tests have let pass."""
        return time.monotonic() + self.passed


_workers = _WorkersTime()


@contextmanager
def workers_clocks() -> Iterator[None]:
    """Let `advance` move the clocks of the workers in this process, too."""
    modules: tuple[Any, ...] = (executor, hold)
    for module in modules:
        module.time = _workers
    try:
        yield
    finally:
        for module in modules:
            module.time = time


def _aged(calls: dict[str, Any], by: timedelta) -> dict[str, Any]:
    return {
        slot: call | {"first_sent_at": (datetime.fromisoformat(call["first_sent_at"]) - by).isoformat()}
        for slot, call in calls.items()
    }
