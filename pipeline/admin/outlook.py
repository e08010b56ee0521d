"""What a pipeline waits for, what happens next, and when: in sentences for operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.dateformat import format as formatted

from pipeline.conf import conf
from pipeline.models import Pipeline, Step
from pipeline.plan import StepView, open_jobs
from pipeline.registry import known_jobs
from pipeline.states import PipelineState, Verb

_DOING = {Verb.STAGE: "staged", Verb.COMMIT: "committed", Verb.ROLLBACK: "rolled back"}
_ATTEMPTS = {Verb.STAGE: "stage_attempts", Verb.COMMIT: "commit_attempts", Verb.ROLLBACK: "rollback_attempts"}


@dataclass(frozen=True, slots=True)
class Outlook:
    """`at` is when somebody looks at it next; None when it has ended."""

    waits_for: str
    next: str
    at: datetime | None


def jobs_at_work(pipeline: Pipeline, steps: Sequence[Step]) -> list[tuple[Step, Verb]]:
    """The steps whose jobs are open now, each with its verb."""
    by_name = {step.name: step for step in steps}
    return [(by_name[view.name], verb) for view, verb in open_jobs(pipeline.state, [_view(step) for step in steps])]


def outlook(pipeline: Pipeline, steps: Sequence[Step]) -> Outlook:
    """For one pipeline, by its stored state alone."""
    if pipeline.is_terminal:
        return Outlook("Nothing: it has ended.", "Nothing.", None)
    jobs = jobs_at_work(pipeline, steps)
    if pipeline.state == PipelineState.WAITING:
        return _customer(pipeline, jobs)
    if is_paused(pipeline):
        return Outlook("The pause of staging (PAUSE_STAGING).", "Staging begins once the pause ends.", pipeline.due_at)
    if not jobs:
        return Outlook("A worker.", "The sweep looks at it again.", pipeline.due_at)
    return Outlook(
        " ".join(_waits_for(pipeline, step, verb) for step, verb in jobs),
        " ".join(_next(pipeline, step, verb) for step, verb in jobs),
        min((step.lease_until or step.due_at or pipeline.due_at for step, _ in jobs), key=_early),
    )


def is_paused(pipeline: Pipeline) -> bool:
    """Whether it is one that PAUSE_STAGING holds back."""
    return conf().PAUSE_STAGING and pipeline.cursor == 0 and pipeline.state == PipelineState.STAGING


def _customer(pipeline: Pipeline, jobs: list[tuple[Step, Verb]]) -> Outlook:
    step = jobs[0][0] if jobs else None
    asked = (step.due_at or step.lease_until if step else None) or pipeline.due_at
    return Outlook(
        f"The customer{f', for {step.label!r}' if step else ''}, until {_time(pipeline.deadline_at)}.",
        "The provider is asked again; at the deadline once more, and only its answer rolls back.",
        asked,
    )


def _waits_for(pipeline: Pipeline, step: Step, verb: Verb) -> str:
    doing = f"{step.label!r} to be {_DOING[verb]}"
    if step.owner is not None:
        return f"{doing}: process {step.owner} works on attempt {getattr(step, _ATTEMPTS[verb])}."
    if f"{pipeline.workflow} {pipeline.version} {step.kind}" not in known_jobs():
        return f"{doing}, by a worker that knows {pipeline.workflow} version {pipeline.version}: this process does not."
    if _is_later(step):
        return f"{doing}: {failure(step.error) or 'it waits for its time'}."
    return f"{doing}: a worker has to take it."


def _next(pipeline: Pipeline, step: Step, verb: Verb) -> str:
    attempts = getattr(step, _ATTEMPTS[verb])
    if step.owner is not None:
        return (
            f"{step.label!r} records its outcome; if its process dies it is taken over at once, "
            f"if it hangs at {_time(step.lease_until)}."
        )
    if _is_later(step):
        return f"Attempt {attempts + 1} of {step.label!r} at {_time(step.due_at)}."
    return (
        f"Attempt {attempts + 1} of {step.label!r} at once; the sweep publishes it again at {_time(pipeline.due_at)}."
    )


def failure(error: dict[str, str] | None) -> str:
    """A recorded failure in one line: "unavailable: storage_unreachable, no connection to object storage"."""
    if not error:
        return ""
    words = ", ".join(part for part in (error.get("code"), error.get("detail")) if part)
    return f"{error['kind']}: {words}" if error.get("kind") else words


def _is_later(step: Step) -> bool:
    return step.due_at is not None and step.due_at > timezone.now()


def _early(at: datetime | None) -> float:
    return at.timestamp() if at else float("inf")


def _time(at: datetime | None) -> str:
    return formatted(timezone.localtime(at), "H:i:s, j M Y") if at else "an unknown time"


def _view(step: Step) -> StepView:
    return StepView(name=step.name, position=step.position, kind=step.kind, wave=step.wave, state=step.state)
