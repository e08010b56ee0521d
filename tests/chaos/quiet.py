"""The end of a run: no more faults, everything that was accepted ends by itself, and old messages change nothing."""

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any, Final

from tests.chaos.armed.apps import PUBLISHED
from tests.chaos.place import Place

LONGEST: Final = 150.0  # seconds from the end of faults until everything has to have ended
CALM: Final = 1.5  # seconds without a change before a replay is believed to be over
# A provider may ask to be left alone for longer than a run (Google's quota: an hour). A person then says "retry now".
FAR: Final = 90.0  # seconds: more than the longest pause of the sweep


def wait_for_the_end(place: Place) -> tuple[float, int, int]:
    """Seconds until every pipeline had ended (or LONGEST), how many had not, how many an operator hurried."""
    from django.db import connection

    from pipeline.models import Pipeline

    began, hurried = time.monotonic(), set[Any]()
    while True:
        connection.close()  # PostgreSQL may have been restarted since
        left = Pipeline.objects.filter(finished_at=None).count()
        took = time.monotonic() - began
        if not left or took > LONGEST:
            return took, left, len(hurried)
        hurried |= _hurry()
        time.sleep(0.25)


def _hurry() -> set[Any]:
    """As an operator would: jobs that are due long after the run is over are tried now."""
    from datetime import timedelta

    from django.utils import timezone

    from pipeline import actions, circuit
    from pipeline.models import Pipeline

    late = timezone.now() + timedelta(seconds=FAR)
    for each in circuit.open_circuits():
        if each.retry_at and each.retry_at > late:
            circuit.close(each.provider, by="chaos", reason="the run is over")
    found = list(Pipeline.objects.filter(finished_at=None, due_at__gt=late).exclude(state="waiting"))
    for each in found:
        actions.retry_now(each.pk, by="chaos", reason="the run is over")
    return {each.pk for each in found}


def replay_everything(place: Place) -> tuple[int, list[str]]:
    """Publish each message of the run once more, and every other job (I8): (how many, what changed)."""
    from config.celery import app

    before = _picture(place)
    count = 0
    with app.connection_for_write() as link, app.amqp.producer_pool.acquire(block=True) as producer:
        del link
        for task, *args in sorted(_everything(place)):
            app.send_task(task, args=args, queue=_queue(task), producer=producer)
            count += 1
    _wait_until_consumed(place)
    after = _picture(place)
    return count, [name for name in before if before[name] != after[name]]


def _queue(task: str) -> str:
    return {"pipeline.stage": "pipeline", "pipeline.commit": "commit", "pipeline.rollback": "rollback"}[task]


def _everything(place: Place) -> set[tuple[str, ...]]:
    """Task, pipeline and step of all that was published, and of all that could have been."""
    from pipeline.models import Step

    lines = map(json.loads, (place.chaos / "messages").read_text().splitlines())
    published = {(line[2], *map(str, line[3])) for line in lines if line[0] == PUBLISHED}
    steps = Step.objects.values_list("pipeline_id", "name").iterator()
    return published | {
        (f"pipeline.{verb}", str(pipeline), name)
        for pipeline, name in steps
        for verb in ("stage", "commit", "rollback")
    }


def _wait_until_consumed(place: Place) -> None:
    """Until no task has begun for a while."""
    messages, last, since = place.chaos / "messages", -1, time.monotonic()
    while time.monotonic() - since < CALM:
        size = messages.stat().st_size
        if size != last:
            last, since = size, time.monotonic()
        time.sleep(0.1)


def _picture(place: Place) -> dict[str, str]:
    """Everything that a message could change, as digests: our tables and the providers' ledger."""
    from pipeline.models import Event, Pipeline, Step
    from postings.models import Posting

    pictures = {
        model.__name__: _digest(model.objects.order_by("pk").values_list().iterator())
        for model in (Pipeline, Step, Event, Posting)
    }
    return pictures | {"the providers' ledger": _digest(iter(place.ledger()))}


def _digest(rows: Iterator[Any]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(row).encode())
    return digest.hexdigest()
