"""What an operator may do with a pipeline: each asks for a reason, calls pipeline.actions, and so is in its history."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django import forms

from pipeline import actions, retention
from pipeline.admin.outlook import outlook
from pipeline.admin.reasons import ReasonForm
from pipeline.errors import IllegalAction
from pipeline.models import Pipeline, Step
from pipeline.states import OPEN, PipelineState, StepState, Wave

_SKIPPABLE = (StepState.COMMITTING, StepState.ROLLING_BACK)


@dataclass(frozen=True, slots=True)
class Operation:
    """One button. `apply` takes (pipeline, step, by, reason) and raises IllegalAction."""

    name: str
    label: str
    explanation: str
    apply: Callable[[uuid.UUID, str, str, str], object]
    is_offered: Callable[[Pipeline, Sequence[Step]], bool]
    takes_step: bool = False


def skippable(steps: Sequence[Step]) -> list[Step]:
    """Steps whose open commit or rollback job may be given up: never the pivot's, nor one being worked on."""
    return [step for step in steps if step.state in _SKIPPABLE and step.wave != Wave.PIVOT and step.owner is None]


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation(
            "retry_now",
            "Retry now",
            "Every job that waits for its next attempt is tried at once. For when the cause is mended.",
            lambda pipeline, _, by, reason: actions.retry_now(pipeline, by=by, reason=reason),
            lambda pipeline, _: not pipeline.is_terminal and pipeline.state != PipelineState.WAITING,
        ),
        Operation(
            "resume",
            "Resume",
            "The provider is asked at once whether the customer has acted, instead of at the next interval.",
            lambda pipeline, _, by, reason: actions.look_again(pipeline, by=by, reason=reason),
            lambda pipeline, _: pipeline.state == PipelineState.WAITING,
        ),
        Operation(
            "roll_back",
            "Roll back",
            "Everything that was staged is undone, and the customer is told. Possible until the decision to commit.",
            lambda pipeline, _, by, reason: actions.roll_back(pipeline, by=by, reason=reason),
            lambda pipeline, _: pipeline.state in OPEN,
        ),
        Operation(
            "skip",
            "Skip a step",
            "The step's open job is given up and never tried again: what it should have done has to be done by hand. "
            "The payment can never be skipped.",
            lambda pipeline, step, by, reason: actions.skip(pipeline, step, by=by, reason=reason),
            lambda _, steps: bool(skippable(steps)),
            takes_step=True,
        ),
        Operation(
            "erase",
            "Erase personal data",
            "What was submitted is erased for good, with the steps and the history: it can neither be refunded nor "
            "looked into from here afterwards. The key, the id and the end stay, and that you have done this.",
            lambda pipeline, _, by, reason: retention.erase(pipeline, by=by, reason=reason),
            lambda pipeline, _: pipeline.is_terminal and pipeline.reaped_at is None,
        ),
        Operation(
            "acknowledge",
            "Acknowledge",
            "What a provider told of after the fact is dealt with: the mark is taken away. Marks of steps stay until "
            "their jobs succeed.",
            lambda pipeline, _, by, reason: actions.acknowledge(pipeline, by=by, reason=reason),
            lambda pipeline, steps: pipeline.attention > sum(step.attention for step in steps),
        ),
    )
}


class SkipForm(ReasonForm):
    """Which step, and why."""

    step = forms.ChoiceField(help_text="Only a step whose commit or rollback is open and not being worked on.")
    field_order = ["step", "reason"]

    def __init__(self, *args: object, steps: Sequence[Step], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type] # passed on as Django has them
        field = self.fields["step"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            (step.name, f"{step.label} ({StepState(step.state).label.lower()})") for step in skippable(steps)
        ]


def perform(operation: Operation, pipelines: Sequence[Pipeline], *, step: str, by: str, reason: str) -> list[str]:
    """Apply it to each; a sentence for every pipeline that it was not possible for, naming it and its next step."""
    refusals = []
    for pipeline in pipelines:
        try:
            operation.apply(pipeline.pk, step, by, reason)
        except IllegalAction as illegal:
            refusals.append(_refusal(operation, pipeline, illegal))
    return refusals


def _refusal(operation: Operation, pipeline: Pipeline, illegal: IllegalAction) -> str:
    now = Pipeline.objects.prefetch_related("steps").get(pk=pipeline.pk)
    state = PipelineState(now.state).label.lower()
    following = outlook(now, list(now.steps.all())).next
    return f"{operation.label} was not possible for {now} ({state}): {illegal} What happens next: {following}"
