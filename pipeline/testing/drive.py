"""Letting a pipeline run to its end: deliver, sweep, and let time pass when nothing else is to do."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from pipeline.models import Pipeline
from pipeline.sweep import sweep_once
from pipeline.testing.broker import ScriptedBroker
from pipeline.testing.clock import advance, until_due
from pipeline.testing.consistency import assert_consistent, history

_A_MOMENT = timedelta(milliseconds=1)


def drain(pipeline: uuid.UUID, broker: ScriptedBroker, *, rounds: int = 200) -> str:
    """Run the pipeline to its end and return the state. AssertionError with its history if it does not end."""
    drain_all([pipeline], broker, rounds=rounds)
    return Pipeline.objects.values_list("state", flat=True).get(pk=pipeline)


def drain_all(pipelines: Sequence[uuid.UUID], broker: ScriptedBroker, *, rounds: int = 200) -> None:
    """Run all of them to their ends; each is consistent then."""
    for _ in range(rounds):
        broker.deliver_all()
        left = list(Pipeline.objects.filter(pk__in=pipelines, finished_at=None).values_list("pk", flat=True))
        if not left:
            break
        if sweep_once() == 0 and not broker.waiting:
            advance(min(until_due(each) for each in left) + _A_MOMENT)
    else:
        told = "\n".join(history(each) for each in left)
        raise AssertionError(f"not ended after {rounds} rounds of delivering, sweeping and waiting:\n{told}")
    for each in pipelines:
        assert_consistent(each)
