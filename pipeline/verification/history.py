"""I6: the history is a legal path of the state machines that ends where the rows stand; nothing turned both ways."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from pipeline.states import EventType, PipelineState, StepState, Wave, is_legal
from pipeline.verification.facts import EventFacts, Facts

_P, _S, _E = PipelineState, StepState, EventType

# The state that a step is in after an event of its own.
_STEP_AFTER: Final = {
    _E.STAGING_STARTED: _S.STAGING,
    _E.STAGED: _S.STAGED,
    _E.COMMIT_STARTED: _S.COMMITTING,
    _E.COMMITTED: _S.COMMITTED,
    _E.ROLLBACK_STARTED: _S.ROLLING_BACK,
    _E.ROLLED_BACK: _S.ROLLED_BACK,
    _E.SKIPPED: _S.SKIPPED,
}
# The state that the pipeline is in after an event.
_PIPELINE_AFTER: Final = {
    _E.WAITING: _P.WAITING,
    _E.DECIDED_COMMIT: _P.COMMITTING,
    _E.DECIDED_ROLLBACK: _P.ROLLING_BACK,
    _E.PIPELINE_COMMITTED: _P.COMMITTED,
    _E.PIPELINE_ROLLED_BACK: _P.ROLLED_BACK,
}
# Each is told by a claim, which counts the attempt and raises the fence.
_CLAIMS: Final = frozenset({_E.STAGING_STARTED, _E.COMMIT_STARTED, _E.ROLLBACK_STARTED})
_RAISES: Final = _CLAIMS | {_E.TAKEN_OVER}


def wrong_history(facts: Facts) -> Iterator[str]:
    """Each sentence says what does not fit."""
    yield from _wrong_numbers(facts)
    yield from _wrong_path(facts)
    yield from _wrong_turns(facts)
    yield from _wrong_fences(facts)


def _wrong_numbers(facts: Facts) -> Iterator[str]:
    events = facts.events
    numbers = [event.seq for event in events]
    if numbers != list(range(1, len(events) + 1)) or facts.row.seq != len(events):
        yield f"seq is {facts.row.seq}, and the events are {numbers}"
    if not events or events[0].type != _E.ACCEPTED:
        yield "the first event is not accepted"


def _wrong_path(facts: Facts) -> Iterator[str]:
    state: PipelineState = _P.STAGING
    of_step = {step.name: _S.PENDING for step in facts.steps}
    for event in facts.events:
        kind = _E(event.type)
        after = _pipeline_after(state, kind)
        if after != state and not is_legal(state, after):
            yield f"event {event.seq}: {state} to {after}"
        state = after
        if event.step is not None and kind in _STEP_AFTER:
            before, then = of_step.get(event.step, _S.PENDING), _STEP_AFTER[kind]
            if before != then and not is_legal(before, then):
                yield f"event {event.seq}: {event.step} from {before} to {then}"
            of_step[event.step] = then
    if state != facts.row.state:
        yield f"the history ends in {state}, the pipeline is {facts.row.state}"
    for step in facts.steps:
        if of_step[step.name] != step.state:
            yield f"{step.name}: the history ends in {of_step[step.name]}, the step is {step.state}"


def _pipeline_after(state: PipelineState, kind: EventType) -> PipelineState:
    # The customer's answer is told by the step's record, which goes on with staging.
    if state == _P.WAITING and kind in {_E.STAGED, _E.SKIPPED}:
        return _P.STAGING
    return _PIPELINE_AFTER.get(kind, state)


def _wrong_turns(facts: Facts) -> Iterator[str]:
    """Turned back after its decision to commit only by the pivot's refusal, and before anything was committed."""
    decided = [event.type for event in facts.events if event.type in (_E.DECIDED_COMMIT, _E.DECIDED_ROLLBACK)]
    if len(decided) != len(set(decided)):
        yield f"it was decided more than once: {', '.join(decided)}"
    if decided == [_E.DECIDED_COMMIT, _E.DECIDED_ROLLBACK] and not _pivot_was_refused(facts):
        yield "it was turned back after its decision to commit, and its pivot was not refused"
    if facts.row.state in (_P.ROLLING_BACK, _P.ROLLED_BACK):
        for step in facts.steps:
            if step.state in (_S.COMMITTING, _S.COMMITTED) and step.wave != Wave.PIVOT:
                yield f"{step.name} is {step.state} in a pipeline that is turned back"
    elif any(step.state in (_S.ROLLING_BACK, _S.ROLLED_BACK) for step in facts.steps):
        yield "a step is undone in a pipeline that is not turned back"


def _pivot_was_refused(facts: Facts) -> bool:
    pivots = {step.name for step in facts.steps if step.wave == Wave.PIVOT}
    return any(event.type == _E.REFUSED and event.step in pivots for event in facts.events)


def _wrong_fences(facts: Facts) -> Iterator[str]:
    """Every claim has an attempt of its own and has raised the fence; claims while waiting are not told."""
    for step in facts.steps:
        own = [event for event in facts.events if event.step == step.name]
        raised = sum(event.type in _RAISES for event in own)
        if step.fence < raised:
            yield f"{step.name}: its fence is {step.fence} after {raised} claims and takeovers"
        for kind, counted in _counts(step.stage_attempts, step.commit_attempts, step.rollback_attempts):
            yield from _wrong_attempts(step.name, [event for event in own if event.type == kind], counted)


def _counts(stage: int, commit: int, rollback: int) -> list[tuple[EventType, int]]:
    return [(_E.STAGING_STARTED, stage), (_E.COMMIT_STARTED, commit), (_E.ROLLBACK_STARTED, rollback)]


def _wrong_attempts(step: str, claims: list[EventFacts], counted: int) -> Iterator[str]:
    attempts = [event.attempt or 0 for event in claims]
    for before, after in pairwise(attempts):
        if after <= before:
            yield f"{step}: attempt {after} was begun after attempt {before}: a late owner wrote"
    if attempts and max(attempts) > counted:
        yield f"{step}: attempt {max(attempts)} was begun, and {counted} are counted"
