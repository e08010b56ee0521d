"""A pipeline's history for the public: the events without anything that is for operators' eyes."""

import uuid
from collections.abc import Sequence
from typing import Any, Final

from pipeline.api.problems import Problem
from pipeline.api.resource import rfc3339
from pipeline.models import Event
from pipeline.states import EventType

PAGE: Final = 100
LARGEST_SEQ: Final = 2**31 - 1

# What of an event's data anybody may read who holds the pipeline's id: never a detail meant for the log, never
# which operator did something and why.
_PUBLIC: Final = frozenset({"kind", "code", "next_attempt_at", "deadline", "why", "action", "step"})

Json = dict[str, Any]


def events_after(pipeline: uuid.UUID, seq: int, limit: int = PAGE) -> list[Event]:
    """The next events, oldest first: one index range."""
    return list(Event.objects.filter(pipeline_id=pipeline, seq__gt=seq).order_by("seq")[:limit])


def as_json(event: Event) -> Json:
    """The event as the API shows it."""
    public = {name: value for name, value in event.data.items() if name in _PUBLIC}
    if event.type == EventType.HINTED and "by" in event.data:
        public["by"] = event.data["by"]  # "customer" or a provider's name, never a person's
    return {
        "seq": event.seq,
        "at": rfc3339(event.at),
        "type": event.type,
        "step": event.step,
        "attempt": event.attempt,
        "data": public,
    }


def page(events: Sequence[Event], after: int, last: int, address: str) -> Json:
    """One page; `last` is the pipeline's newest seq, `address` the list's own without a query."""
    until = events[-1].seq if events else after
    return {
        "next": f"{address}?after={until}" if events and until < last else None,
        "previous": f"{address}?after={max(after - PAGE, 0)}" if after > 0 else None,
        "results": [as_json(event) for event in events],
    }


def parse_seq(text: str, name: str) -> int:
    """A `seq` that a client names; Problem 400 for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise Problem(400, "invalid_seq", "Wrong position", f"{name} is the seq of an event: a whole number.")
    return min(int(text), LARGEST_SEQ)
