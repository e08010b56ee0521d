"""Which marks of a pipeline still stand, by its history: pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.states import EventType

Line = tuple[str, str | None, Mapping[str, Any]]  # an event's type, step and data


def standing(events: Iterable[Line]) -> list[Mapping[str, Any]]:
    """The data of the marks that belong to no step and that nobody has acknowledged or settled, oldest first."""
    marks: list[Mapping[str, Any]] = []
    for kind, step, data in events:
        if kind == EventType.ATTENTION and step is None:
            marks.append(data)
        elif kind == EventType.OPERATOR_ACTION and data.get("action") == "acknowledge":
            marks.clear()
        elif kind == EventType.SETTLED:
            settled = [(each["code"], each["about"]) for each in data["settles"]]
            marks = [mark for mark in marks if (mark.get("code"), mark.get("about")) not in settled]
    return marks
