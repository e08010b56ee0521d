"""The goals: what each compares, and the number that it has to reach."""

from dataclasses import dataclass
from typing import Any, Final

from benchmarks.figures import number


@dataclass(frozen=True, slots=True)
class Goal:
    """`now` decides whether it holds; `later` is what the design should allow."""

    id: str
    what: str
    now: float
    later: float
    is_ceiling: bool  # the number must not exceed the goal; otherwise it must reach it

    def holds(self, ratio: float) -> bool:
        """Whether the measured number meets the goal."""
        return ratio <= self.now if self.is_ceiling else ratio >= self.now

    def bound(self, value: float) -> str:
        """One of its numbers with its sign."""
        return f"{'≤' if self.is_ceiling else '≥'} {number(value)}"


@dataclass(frozen=True, slots=True)
class Measured:
    """One goal's number, with the absolute figures that it was made of."""

    goal: Goal
    ratio: float
    detail: str

    def as_json(self) -> dict[str, Any]:
        """As it stands in latest.json."""
        return {
            "ratio": round(self.ratio, 3),
            "goal": self.goal.now,
            "holds": self.goal.holds(self.ratio),
            "detail": self.detail,
        }


_ALL: Final = [
    Goal("G1", "full pipelines/s, empty steps, over a bare Celery chain of four", 1.0, 1.5, is_ceiling=False),
    Goal("G2", "full pipelines/s over DBOS doing the same eight durable steps", 2, 3, is_ceiling=False),
    Goal("G3", "full pipelines/s over Restate doing the same eight durable steps", 0.4, 0.8, is_ceiling=False),
    Goal("G4", "full pipelines/s over a bare chain of the same eight calls of 50 ms", 1.2, 2, is_ceiling=False),
    Goal("G5", "accept to committed when idle, over the providers' latencies", 1.15, 1.05, is_ceiling=True),
    Goal("G6", "accept, p50 over a plain DRF view that inserts the posting", 1.5, 1.2, is_ceiling=True),
    Goal("G7a", "broker messages per pipeline", 4, 2, is_ceiling=True),
    Goal("G7b", "transactions per pipeline", 14, 9, is_ceiling=True),
    Goal("G7c", "statements per pipeline", 24, 12, is_ceiling=True),
    Goal("G8", "cost with 1,000,000 finished pipelines over 10,000, the worst of all", 1.1, 1.02, is_ceiling=True),
    Goal("G9", "memory of a worker after 100,000 pipelines over 1,000", 1.1, 1.02, is_ceiling=True),
    Goal("G10", "full pipelines/s with two worker processes over one", 1.7, 1.7, is_ceiling=False),
]
GOALS: Final = {goal.id: goal for goal in _ALL}
