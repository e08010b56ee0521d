"""What customers, webhooks and operators may do with a pipeline. All of it goes through transitions and marks."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from pipeline import dispatch, marks, transitions
from pipeline.decide import problem
from pipeline.errors import IllegalAction, UnknownWorkflow
from pipeline.models import Pipeline, Step
from pipeline.plan import Job, StepView, due_jobs, to_undo
from pipeline.registry import find, words_of
from pipeline.results import result_of
from pipeline.states import OPEN, RUNNING, EventType, StepState, Verb, Wave
from pipeline.transitions import Begun

_RACES = 10  # a pipeline moves at most a few times while somebody reaches for it


def cancel(pipeline: uuid.UUID) -> None:
    """The customer withdraws: it rolls back. IllegalAction once it is decided."""
    _turn_back(pipeline, EventType.CANCELLED, {})


def resume(pipeline: uuid.UUID) -> None:
    """The customer has acted: ask the provider now. IllegalAction when it is not waiting."""
    if not marks.hint(pipeline, {"by": "customer"}, only_waiting=True):
        raise IllegalAction("This pipeline is not waiting for the customer: follow its state.")
    publish_due(pipeline)


def hint(pipeline: uuid.UUID, by: str) -> bool:
    """A webhook says that something changed: look now. False when the pipeline has ended."""
    return marks.hint(pipeline, {"by": by})


def retry_now(pipeline: uuid.UUID, *, by: str, reason: str) -> None:
    """An operator has mended the cause: make every waiting job due at once."""
    _operate(pipeline, {"action": "retry now", "by": by, "reason": reason})


def look_again(pipeline: uuid.UUID, *, by: str, reason: str) -> None:
    """An operator resumes a pipeline that waits: the provider is asked at once."""
    _operate(pipeline, {"action": "resume", "by": by, "reason": reason})


def roll_back(pipeline: uuid.UUID, *, by: str, reason: str) -> None:
    """An operator turns it back. IllegalAction once it is decided."""
    _turn_back(pipeline, EventType.OPERATOR_ACTION, {"action": "roll back", "by": by, "reason": reason})


def skip(pipeline: uuid.UUID, step: str, *, by: str, reason: str) -> None:
    """An operator gives a step's open commit or rollback job up. Never the pivot's: money is not skipped."""
    row = Step.objects.select_related("pipeline").filter(pipeline_id=pipeline, name=step).first()
    if row is None:
        raise IllegalAction(f"This pipeline has no step {step!r}.")
    verb = next((verb for verb, state in RUNNING.items() if state == row.state and verb != Verb.STAGE), None)
    if verb is None or row.wave == Wave.PIVOT:
        raise IllegalAction(
            f"{row.label} is {StepState(row.state).label.lower()}"
            f"{' and holds the money' if row.wave == Wave.PIVOT else ''}: it cannot be skipped."
        )
    if row.owner is not None:
        raise IllegalAction(f"{row.label} is being worked on: try again in a minute.")
    note = {"action": "skip", "by": by, "reason": reason}
    with transaction.atomic():
        marks.operator_action(pipeline, note | {"step": step})
        now = Pipeline.objects.get(pk=pipeline)  # locked by the action: nothing moves until the end
        after = transitions.advance(
            Job(pipeline, step, verb),
            _as_nobody(row),
            data={},
            note=note,
            is_skipped=True,
            seen_seq=now.seq,
            result=_result(now) if verb == Verb.COMMIT else None,
        )
        if after is None:
            raise IllegalAction(f"{row.label} has just moved on: look at it again.")
    publish_due(pipeline)


def acknowledge(pipeline: uuid.UUID, *, by: str, reason: str) -> None:
    """An operator has dealt with what a provider told of, a dispute say. Marks of steps go when their jobs succeed."""
    for _ in range(_RACES):
        row = Pipeline.objects.filter(pk=pipeline).first()
        kept = Step.objects.filter(pipeline_id=pipeline, attention=True).count()
        if row is None or row.attention <= kept:
            raise IllegalAction("It has no mark that a person could take away: a step's goes when its job succeeds.")
        note = {"action": "acknowledge", "by": by, "reason": reason}
        if marks.acknowledge(pipeline, row.seq, kept, note):
            return
    raise IllegalAction("The pipeline is moving too fast: try again.")


def publish_due(pipeline: uuid.UUID) -> None:
    """Publish what is due in one pipeline now, without waiting for the sweep."""
    row = Pipeline.objects.filter(pk=pipeline).first()
    if row is None:
        return
    steps = views(row)
    due = due_jobs(row.state, row.hints, steps, row.updated_at)
    dispatch.publish(*(Job(pipeline, step.name, verb) for step, verb in due))


def views(pipeline: Pipeline) -> list[StepView]:
    """The pipeline's steps as decisions see them."""
    return [
        StepView(
            name=step.name,
            position=step.position,
            kind=step.kind,
            wave=step.wave,
            state=step.state,
            undo_pending=step.undo_pending,
            owner=step.owner,
            lease_until=step.lease_until,
            due_at=step.due_at,
            hints_seen=step.hints_seen,
        )
        for step in pipeline.steps.order_by("position")
    ]


def _operate(pipeline: uuid.UUID, note: dict[str, str]) -> None:
    if not marks.operator_action(pipeline, note):
        raise IllegalAction("This pipeline has ended: there is nothing left to do.")
    publish_due(pipeline)


def _turn_back(pipeline: uuid.UUID, event: EventType, note: dict[str, str]) -> None:
    for _ in range(_RACES):
        row = Pipeline.objects.filter(pk=pipeline).first()
        if row is None or row.state not in OPEN:
            raise IllegalAction("It is decided already and cannot be cancelled any more: follow its state.")
        unharmed = words_of(row.workflow, row.version).unharmed
        error = problem("cancelled", "Cancelled", f"This was cancelled. {unharmed}", None)
        if transitions.turn_back(pipeline, row.seq, to_undo(views(row)), event=event, error=error, note=note):
            publish_due(pipeline)
            return
    raise IllegalAction("The pipeline is moving too fast to be turned back: try again.")


def _result(pipeline: Pipeline) -> Mapping[str, Any] | None:
    try:
        workflow = find(pipeline.workflow, pipeline.version)
    except UnknownWorkflow as unknown:
        raise IllegalAction(f"{unknown} Do this where its workers run.") from None
    return result_of(workflow, pipeline.input, {step.name: step.data for step in pipeline.steps.all()})


def _as_nobody(step: Step) -> Begun:
    """A guard that holds only while the step is as it was read, owned by nobody."""
    at = step.pipeline.updated_at
    return Begun(
        step=step.name,
        verb=Verb.COMMIT,
        owner=0,
        fence=step.fence,
        attempt=step.attempts,
        lease_until=at,
        verb_started_at=at,
        data={},
        calls={},
        has_attention=step.attention,
        now=at,
    )
