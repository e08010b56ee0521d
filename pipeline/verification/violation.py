"""What a check finds, and over which pipelines it looks."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

# What an operator does about it, unless the check knows better.
NEXT_STEP: Final = "read its history in the admin, then the provider's dashboard"


@dataclass(frozen=True, slots=True)
class Violation:
    """One invariant (I1 to I12, docs/guarantees.md) that does not hold. `pipeline` is None where none is to blame.

    `objects` are all the things outside that make it one, as their provider calls them; empty where that is not
    known. A person who has resolved the finding of each has resolved it (pipeline/verification/resolved.py).
    """

    invariant: str
    pipeline: uuid.UUID | None
    expected: str
    found: str
    next_step: str = NEXT_STEP
    objects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """Which pipelines are looked at: all, those made since a time, or one. `settled`: nothing is to be in flight."""

    settled: bool = False
    since: datetime | None = None
    pipeline: uuid.UUID | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every pipeline is looked at."""
        return self.since is None and self.pipeline is None
