"""Comparing with a world that moves: what is found once is looked at again before it is told.

The first look reads outside, then here: what must not have happened yet is judged by a state that is newer. The
second reads here, then outside: what must have happened already is judged by a state that is older. Whatever
moves in between is in order in one of the two, so only what both find is told.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from pipeline.verification.violation import Violation

Outside = TypeVar("Outside")
Here = TypeVar("Here")

# None reads all that is in scope, a list only these pipelines.
Ids = list[uuid.UUID] | None


def confirmed(
    outside: Callable[[], Outside],
    here: Callable[[Ids], Iterable[Here]],
    compare: Callable[[Iterable[Here], Outside], Iterable[Violation]],
) -> Iterator[Violation]:
    """The violations that stand. `here` may be lazy: it is read after `outside` the first time, then before it."""
    seen = outside()
    suspected = list(compare(here(None), seen))
    if not suspected:
        return
    known = {(each.invariant, each.pipeline, each.expected) for each in suspected}
    blamed = {each.pipeline for each in suspected if each.pipeline is not None}
    is_general = any(each.pipeline is None for each in suspected)  # of sums, say: all is needed once more
    again = list(here(None if is_general else list(blamed)))
    seen = outside()
    for violation in compare(again, seen):
        if (violation.invariant, violation.pipeline, violation.expected) in known:
            yield violation
