"""What must hold of every pipeline at every moment between two transitions, checked against its rows and history."""

import uuid
from collections import Counter
from typing import Any

from pipeline.models import Event, Pipeline, Step
from pipeline.states import (
    OPEN,
    STEP_TERMINAL,
    TERMINAL,
    EventType,
    PipelineState,
    StepState,
    Wave,
    is_legal,
)

_P, _S, _E = PipelineState, StepState, EventType

# The state that a step is in after an event of its own.
_STEP_AFTER = {
    _E.STAGING_STARTED: _S.STAGING,
    _E.STAGED: _S.STAGED,
    _E.COMMIT_STARTED: _S.COMMITTING,
    _E.COMMITTED: _S.COMMITTED,
    _E.ROLLBACK_STARTED: _S.ROLLING_BACK,
    _E.ROLLED_BACK: _S.ROLLED_BACK,
    _E.SKIPPED: _S.SKIPPED,
}
# The state that the pipeline is in after an event.
_PIPELINE_AFTER = {
    _E.WAITING: _P.WAITING,
    _E.DECIDED_COMMIT: _P.COMMITTING,
    _E.DECIDED_ROLLBACK: _P.ROLLING_BACK,
    _E.PIPELINE_COMMITTED: _P.COMMITTED,
    _E.PIPELINE_ROLLED_BACK: _P.ROLLED_BACK,
}


def state_of(pipeline: uuid.UUID) -> str:
    """The pipeline's state now."""
    return Pipeline.objects.values_list("state", flat=True).get(pk=pipeline)


def history(pipeline: uuid.UUID) -> str:
    """The pipeline and its events as text, for people."""
    row = Pipeline.objects.get(pk=pipeline)
    steps = ", ".join(f"{step.name} {step.state}" for step in row.steps.order_by("position"))
    lines = [f"{row.workflow} {row.pk}: {row.state}, due {row.due_at}, left {row.pivots}/{row.effects}/{row.tells}"]
    lines += [f"  steps: {steps}"]
    lines += [
        f"  {event.seq:4} {event.at:%H:%M:%S.%f} {event.type:20} {event.step or '':12} {event.attempt or '':3}"
        f" {event.data or ''}"
        for event in row.events.order_by("seq")
    ]
    return "\n".join(lines)


def snapshot(pipeline: uuid.UUID) -> dict[str, Any]:
    """Every column of every row of the pipeline, to compare with a later one."""
    return {
        "pipeline": Pipeline.objects.filter(pk=pipeline).values().get(),
        "steps": list(Step.objects.filter(pipeline=pipeline).order_by("position").values()),
        "events": list(Event.objects.filter(pipeline=pipeline).order_by("seq").values()),
        "attachments": sorted(Pipeline.objects.get(pk=pipeline).attachments.values_list("name", flat=True)),
    }


def assert_consistent(pipeline: uuid.UUID) -> None:
    """The pipeline's counters, due times, owners, secrets and history agree. AssertionError with the history."""
    row = Pipeline.objects.get(pk=pipeline)
    steps = list(row.steps.order_by("position"))
    events = list(row.events.order_by("seq"))
    if row.reaped_at is not None:  # its steps and history are erased; constraints hold what is left
        assert not steps, f"{row} is reaped and has steps"
        return
    wrong = [*_wrong_counters(row, steps), *_wrong_rests(row, steps), *_wrong_history(row, steps, events)]
    if wrong:
        raise AssertionError("\n".join(["inconsistent:", *wrong, history(pipeline)]))


def _wrong_counters(row: Pipeline, steps: list[Step]) -> list[str]:
    wrong = []
    staged = {_P.STAGING, _P.WAITING, _P.COMMITTING}
    finished = {_S.SKIPPED, _S.COMMITTED} if row.state in staged else STEP_TERMINAL
    # While rolling back, what was never attempted and does not ask for a rollback is skipped already.
    left = Counter(step.wave for step in steps if step.state not in finished)
    counted = {Wave.PIVOT: row.pivots, Wave.EFFECT: row.effects, Wave.TELLING: row.tells}
    wrong += [
        f"{Wave(wave).label} jobs left: {count} counted, {left[wave]} are"
        for wave, count in counted.items()
        if count != left[wave]
    ]
    if row.step_count != len(steps):
        wrong.append(f"step_count is {row.step_count}, and it has {len(steps)}")
    past = [step for step in steps if step.state in {_S.STAGED, _S.SKIPPED}]
    if row.state in OPEN and row.cursor != len(past):
        wrong.append(f"cursor is {row.cursor} with {len(past)} steps staged or skipped")
    if row.attention < sum(step.attention for step in steps):
        wrong.append("steps are marked for attention and the pipeline is not")
    return wrong


def _wrong_rests(row: Pipeline, steps: list[Step]) -> list[str]:
    """What has to be gone, or has to be there, in the present state."""
    wrong = []
    if row.state in TERMINAL:
        wrong += [
            f"{step.name} is {step.state} in an ended pipeline" for step in steps if step.state not in STEP_TERMINAL
        ]
        if any(step.attention for step in steps):
            wrong.append("a step of an ended pipeline is marked for attention")
    if row.state not in OPEN and row.secrets:
        wrong.append(f"secrets are kept: {sorted(row.secrets)}")
    if row.state not in OPEN and row.attachments.exists():
        wrong.append("attachments are kept")
    if row.state not in TERMINAL and row.due_at is None:
        wrong.append("unfinished and never due")
    wrong += [
        f"{step.name} is {step.state} and has an owner"
        for step in steps
        if step.owner is not None and step.state not in {_S.STAGING, _S.COMMITTING, _S.ROLLING_BACK}
    ]
    owned = [step for step in steps if step.owner is not None]
    if row.state in OPEN and len(owned) > 1:
        wrong.append(f"{len(owned)} steps are staged at once")
    return wrong


def _wrong_history(row: Pipeline, steps: list[Step], events: list[Event]) -> list[str]:
    wrong = []
    if [event.seq for event in events] != list(range(1, len(events) + 1)) or row.seq != len(events):
        wrong.append(f"seq is {row.seq}, and the events are {[event.seq for event in events]}")
    if not events or events[0].type != _E.ACCEPTED:
        wrong.append("the first event is not accepted")
    state: PipelineState = _P.STAGING
    of_step = {step.name: _S.PENDING for step in steps}
    for event in events:
        kind = _E(event.type)
        after = _pipeline_after(state, kind)
        if after != state and not is_legal(state, after):
            wrong.append(f"event {event.seq}: {state} to {after}")
        state = after
        if event.step is not None and kind in _STEP_AFTER:
            before, then = of_step[event.step], _STEP_AFTER[kind]
            if before != then and not is_legal(before, then):
                wrong.append(f"event {event.seq}: {event.step} from {before} to {then}")
            of_step[event.step] = then
    if state != row.state:
        wrong.append(f"the history ends in {state}, the pipeline is {row.state}")
    wrong += [
        f"{step.name}: the history ends in {of_step[step.name]}, the step is {step.state}"
        for step in steps
        if of_step[step.name] != step.state
    ]
    return wrong


def _pipeline_after(state: PipelineState, kind: EventType) -> PipelineState:
    # The customer's answer is told by the step's record, which goes on with staging.
    if state == _P.WAITING and kind in {_E.STAGED, _E.SKIPPED}:
        return _P.STAGING
    return _PIPELINE_AFTER.get(kind, state)
