"""Time that moves when a test says so: rows are aged, so that the code under test needs no clock of its own.

What a step's author keeps in `data` (a hold's expiry, say) is not touched: age it in the test.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from pipeline.models import Event, Pipeline, Step

_PIPELINE = ("due_at", "deadline_at", "created_at", "updated_at", "attention_told_at")
_STEP = ("due_at", "lease_until", "started_at", "verb_started_at", "finished_at")
_NOTHING = timedelta(0)


def advance(by: timedelta, pipeline: uuid.UUID | None = None) -> None:
    """Let that much time pass for every unfinished pipeline, or for one: whatever was due then is due now.

    A verb that runs meanwhile does not notice, as a process that hangs does not: its lease may be over.
    """
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


def _aged(calls: dict[str, Any], by: timedelta) -> dict[str, Any]:
    return {
        slot: call | {"first_sent_at": (datetime.fromisoformat(call["first_sent_at"]) - by).isoformat()}
        for slot, call in calls.items()
    }
