"""Pure decisions over a pipeline's state and its steps: which jobs are open, and what is to undo."""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from pipeline.states import PipelineState, StepState, Verb, Wave

_STAGED = frozenset({StepState.STAGED, StepState.SKIPPED})
_UNDONE = frozenset({StepState.ROLLED_BACK, StepState.SKIPPED})
_COMMITTED = frozenset({StepState.COMMITTED, StepState.SKIPPED})


@dataclass(frozen=True, slots=True)
class Job:
    """One (pipeline, step, verb): all that a message carries."""

    pipeline: uuid.UUID
    step: str
    verb: Verb


# Tuples: a worker makes a dozen of them anew at each transition.
class StepView(NamedTuple):
    """One step as a decision sees it."""

    name: str
    position: int
    kind: str
    wave: int
    state: str
    undo_pending: bool = False
    args: Mapping[str, Any] = MappingProxyType({})
    data: Mapping[str, Any] = MappingProxyType({})
    owner: int | None = None
    lease_until: datetime | None = None
    due_at: datetime | None = None
    hints_seen: int = 0


class PipelineView(NamedTuple):
    """What a claim read of the pipeline. `steps` are as they were when the claim began."""

    id: uuid.UUID
    workflow: str
    version: int
    state: str
    input: dict[str, Any]
    secrets: dict[str, str]
    deadline_at: datetime
    reason: dict[str, Any] | None
    is_cancelled: bool
    created_at: datetime
    seq: int
    steps: tuple[StepView, ...]

    def step(self, name: str) -> StepView:
        """The step of that name."""
        return next(step for step in self.steps if step.name == name)

    def with_state(self, name: str, state: StepState) -> "PipelineView":
        """The same with one step in another state."""
        steps = [step._replace(state=state.value) if step.name == name else step for step in self.steps]
        return self._replace(steps=tuple(steps))

    def as_if_restored(self) -> "PipelineView":
        """The same where every effect that seems not to be staged is asked for: its record may have been lost."""
        return self._replace(
            steps=tuple(
                step._replace(undo_pending=True)
                if step.state in (StepState.PENDING, StepState.STAGING) and step.wave != Wave.TELLING
                else step
                for step in self.steps
            )
        )


@dataclass(frozen=True, slots=True)
class Undo:
    """How many jobs a rollback has, wave by wave."""

    pivots: int
    effects: int
    tells: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.pivots + self.effects + self.tells


def open_jobs(state: str, steps: Sequence[StepView]) -> list[tuple[StepView, Verb]]:
    """The jobs of the present wave that are not done yet, in order of position; owned and waiting ones too."""
    if state in (PipelineState.STAGING, PipelineState.WAITING):
        return [(step, Verb.STAGE) for step in steps if step.state not in _STAGED][:1]
    if state == PipelineState.COMMITTING:
        left = [step for step in steps if step.state not in _COMMITTED]
        first = min((step.wave for step in left), default=None)
        return [(step, Verb.COMMIT) for step in left if step.wave == first]
    if state == PipelineState.ROLLING_BACK:
        left = [step for step in steps if step.state not in _UNDONE]
        effects = [step for step in left if step.wave != Wave.TELLING]
        return [(step, Verb.ROLLBACK) for step in effects or left]
    return []


def opened(
    before: tuple[str, Sequence[StepView]], after: tuple[str, Sequence[StepView]]
) -> list[tuple[StepView, Verb]]:
    """The jobs that a record made possible: open after it and not before."""
    known = {(step.name, verb) for step, verb in open_jobs(*before)}
    return [(step, verb) for step, verb in open_jobs(*after) if (step.name, verb) not in known]


def due_jobs(state: str, hints: int, steps: Sequence[StepView], now: datetime) -> list[tuple[StepView, Verb]]:
    """The open jobs that nobody owns and whose time has come, or that a hint asks to look at again."""
    return [
        (step, verb)
        for step, verb in open_jobs(state, steps)
        if step.owner is None and (step.due_at is None or step.due_at <= now or step.hints_seen < hints)
    ]


def next_look(state: str, steps: Sequence[StepView]) -> datetime | None:
    """When the earliest open job's lease ends or next attempt is due; None when there is no open job."""
    times = (step.lease_until or step.due_at for step, _ in open_jobs(state, steps))
    return min((time for time in times if time is not None), default=None)


def to_undo(steps: Iterable[StepView]) -> Undo:
    """What a rollback has to do: every step that may have done something, and those that ask for it anyway."""
    waves = Counter(
        step.wave
        for step in steps
        if step.state in (StepState.STAGING, StepState.STAGED, StepState.COMMITTING, StepState.ROLLING_BACK)
        or (step.state == StepState.PENDING and step.undo_pending)
    )
    return Undo(pivots=waves[Wave.PIVOT], effects=waves[Wave.EFFECT], tells=waves[Wave.TELLING])
