"""Hints and marks: somebody says of a pipeline that it be looked at, now or by a person.

Each function is one guarded statement, as in pipeline/transitions.py. They never write a `state`: they count the
hint or the mark, make the pipeline due, and write the event that says why. False means the guard did not hold.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline import mark_statements
from pipeline.db import to_array, to_json
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


def attention(pipeline: uuid.UUID, note: Json) -> bool:
    """Mark a pipeline, finished or not, for a person."""
    return _mark(pipeline, EventType.ATTENTION, note, states=PipelineState.values, marks=1)


def note_of_ended(pipeline: uuid.UUID, note: Json) -> bool:
    """A person did something with an ended pipeline; who and why stand in its history."""
    return _mark(pipeline, EventType.OPERATOR_ACTION, note, states=sorted(TERMINAL), marks=0)


def acknowledge(pipeline: uuid.UUID, seq: int, kept: int, note: Json) -> bool:
    """Take away all marks but the steps' own, which were so many at `seq`. False when there are no others."""
    params = {"pipeline": pipeline, "seen_seq": seq, "kept": kept, "note": to_json(note)}
    return mark_statements.ACKNOWLEDGE.row(params) is not None


def _mark(pipeline: uuid.UUID, event: EventType, note: Json, *, states: Sequence[str], marks: int) -> bool:
    params = {
        "pipeline": pipeline,
        "from_states": to_array(tuple(states)),
        "event": event.value,
        "note": to_json(note),
        "marks": marks,
    }
    return mark_statements.HINT.row(params) is not None
