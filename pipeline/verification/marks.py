"""Whose is a mark? Ours, on everything outside, is a pipeline's id as text."""

import uuid
from collections.abc import Iterable, Sequence

from pipeline.models import Pipeline

_AT_ONCE = 1000  # ids of one statement


def pipeline_of(mark: str) -> uuid.UUID | None:
    """The id that the mark is; None for one that was never ours."""
    try:
        return uuid.UUID(mark)
    except ValueError:
        return None


def nobodys(marks: Iterable[str], workflows: Sequence[str]) -> list[str]:
    """Those of the marks that belong to no pipeline of these workflows."""
    asked = list(marks)
    ids = [found for found in map(pipeline_of, asked) if found is not None]
    known: set[uuid.UUID] = set()
    for first in range(0, len(ids), _AT_ONCE):
        rows = Pipeline.objects.filter(pk__in=ids[first : first + _AT_ONCE], workflow__in=workflows)
        known.update(rows.values_list("pk", flat=True))
    return [mark for mark in asked if pipeline_of(mark) not in known]
