"""Letting a pipeline run to its end: deliver, sweep, and let time pass when nothing else is to do."""

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from pipeline.models import Event, Pipeline
from pipeline.states import EventType
from pipeline.sweep import sweep_once
from pipeline.testing.broker import ScriptedBroker
from pipeline.testing.clock import advance, until_due
from pipeline.testing.consistency import assert_consistent, history

_A_MOMENT = timedelta(milliseconds=1)
SOON: Final = timedelta(seconds=1)  # room for one repeated attempt: for pipelines that must end at once
IN_TIME: Final = timedelta(minutes=15)  # retries, a circuit, staging's deadline; no person is told before it
IN_THE_END: Final = timedelta(days=30)  # a person may have been told


def drain(pipeline: uuid.UUID, broker: ScriptedBroker, *, within: timedelta = IN_TIME, rounds: int = 200) -> str:
    """Run the pipeline to its end and return the state.

    AssertionError with its history if it does not end, or needs more waiting than `within`: the clock is moved on
    whenever nothing is due, so that a loop of hours would look like an end at once.
    """
    drain_all([pipeline], broker, within=within, rounds=rounds)
    return Pipeline.objects.values_list("state", flat=True).get(pk=pipeline)


def drain_all(
    pipelines: Sequence[uuid.UUID], broker: ScriptedBroker, *, within: timedelta = IN_TIME, rounds: int = 200
) -> None:
    """Run all of them to their ends; each is consistent then. `within` bounds the sum of what they wait for."""
    waited, told_before = timedelta(0), _times_told(pipelines)
    for _ in range(rounds):
        broker.deliver_all()
        left = list(Pipeline.objects.filter(pk__in=pipelines, finished_at=None).values_list("pk", flat=True))
        if not left:
            break
        if sweep_once() == 0 and not broker.waiting:
            pause = min(until_due(each) for each in left)
            waited += pause
            _assert(waited <= within, f"not ended within {within}: the next look is {pause} away", left)
            advance(pause + _A_MOMENT)
    else:
        _assert(False, f"not ended after {rounds} rounds of delivering, sweeping and waiting", left)
    for each in pipelines:
        assert_consistent(each)
    if within <= IN_TIME:
        told = list((_times_told(pipelines) - told_before).elements())
        _assert(not told, f"a person was told, although all ended within {within}", told)


def _times_told(pipelines: Sequence[uuid.UUID]) -> Counter[uuid.UUID]:
    """How often a person was told of each."""
    marks = Event.objects.filter(pipeline__in=pipelines, type=EventType.ATTENTION)
    return Counter(marks.values_list("pipeline_id", flat=True))


def _assert(holds: bool, complaint: str, pipelines: Sequence[uuid.UUID]) -> None:
    if not holds:
        told = "\n".join(history(each) for each in pipelines)
        raise AssertionError(f"{complaint}:\n{told}")
