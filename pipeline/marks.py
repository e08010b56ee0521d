"""Hints and marks: somebody says of a pipeline that it be looked at, now or by a person.

Each write is one guarded statement, as in pipeline/transitions.py. They never write a `state`: they count the
hint or the mark, make the pipeline due, and write the event that says why. False means the guard did not hold.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from django.db import transaction

from pipeline import mark_statements
from pipeline.db import to_array, to_json
from pipeline.models import Event, Pipeline
from pipeline.standing import standing
from pipeline.states import TERMINAL, EventType, PipelineState

Json = Mapping[str, Any]

_UNFINISHED: Final = sorted(set(PipelineState) - TERMINAL)


def hint(pipeline: uuid.UUID, note: Json, *, only_waiting: bool = False) -> bool:
    """Look again now: a webhook came or the customer is back. False when there is nothing to look at."""
    states = [PipelineState.WAITING] if only_waiting else _UNFINISHED
    return _mark(pipeline, EventType.HINTED, note, states=states, marks=0)


def operator_action(pipeline: uuid.UUID, note: Json) -> bool:
    """A person asked to look again; who and why stand in the history."""
    return _mark(pipeline, EventType.OPERATOR_ACTION, note, states=_UNFINISHED, marks=0)


def restored(pipeline: uuid.UUID, note: Json, *, is_final: bool, deadline: timedelta) -> bool:
    """The database was restored: look at it now, with at least so much time left when its effect is final outside."""
    params = {"pipeline": pipeline, "note": to_json(note), "is_final": is_final, "deadline": deadline}
    return mark_statements.RESTORED.row(params) is not None


def attention(pipeline: uuid.UUID, note: Json) -> bool:
    """Mark a pipeline, finished or not, for a person."""
    return _mark(pipeline, EventType.ATTENTION, note, states=PipelineState.values, marks=1)


def attention_once(pipeline: uuid.UUID, note: Json) -> bool:
    """Mark it, unless a mark with the same `code` about the same thing (`about`) was made before."""
    with transaction.atomic():
        _lock(pipeline)
        told = Event.objects.filter(pipeline_id=pipeline, type=EventType.ATTENTION, data__about=note["about"])
        return not told.filter(data__code=note["code"]).exists() and attention(pipeline, note)


def settle(pipeline: uuid.UUID, codes: Collection[str], about: str, note: Json) -> bool:
    """Better news came: take away the marks with these codes about things that begin with `about`.

    False when none of them stands: a person has acknowledged it, or it was settled before.
    """
    with transaction.atomic():
        _lock(pipeline)
        marks = [mark for mark in standing_of(pipeline) if mark.get("code") in codes]
        settled = [mark for mark in marks if mark.get("about", "").startswith(about)]
        if not settled:
            return False
        told = {**note, "settles": [{"code": mark["code"], "about": mark["about"]} for mark in settled]}
        params = {"pipeline": pipeline, "marks": len(settled), "note": to_json(told)}
        return mark_statements.SETTLE.row(params) is not None


def standing_of(pipeline: uuid.UUID) -> list[Json]:
    """The marks that belong to no step and stand: each with its `code`, and with its `detail` where there is one."""
    events = Event.objects.filter(pipeline_id=pipeline).order_by("seq")
    return standing(events.values_list("type", "step", "data"))


def note_of_ended(pipeline: uuid.UUID, note: Json) -> bool:
    """A person did something with an ended pipeline; who and why stand in its history."""
    return _mark(pipeline, EventType.OPERATOR_ACTION, note, states=sorted(TERMINAL), marks=0)


def acknowledge(pipeline: uuid.UUID, seq: int, kept: int, note: Json) -> bool:
    """Take away all marks but the steps' own, which were so many at `seq`. False when there are no others."""
    params = {"pipeline": pipeline, "seen_seq": seq, "kept": kept, "note": to_json(note)}
    return mark_statements.ACKNOWLEDGE.row(params) is not None


def _lock(pipeline: uuid.UUID) -> None:
    """Lock the pipeline's row, which is the lock of its history: no event is written until this transaction ends."""
    Pipeline.objects.select_for_update(no_key=True).filter(pk=pipeline).values_list("pk").first()


def _mark(pipeline: uuid.UUID, event: EventType, note: Json, *, states: Sequence[str], marks: int) -> bool:
    params = {
        "pipeline": pipeline,
        "from_states": to_array(tuple(states)),
        "event": event.value,
        "note": to_json(note),
        "marks": marks,
    }
    return mark_statements.HINT.row(params) is not None
