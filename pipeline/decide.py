"""The pure core of the executor: what an attempt's outcome means for its job and its pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pipeline.conf import Conf
from pipeline.errors import Misconfigured, Refused, StepFailure, Unavailable
from pipeline.retry import RetryPolicy
from pipeline.states import EventType, PipelineState, Verb
from pipeline.transitions import Begun
from pipeline.words import Words
from pipeline.workflow import Outcome, Skip, Step, Wait

Json = dict[str, Any]

UNSEEN: Final = timedelta(minutes=5)  # workers that run turn a late pipeline back within seconds


@dataclass(frozen=True, slots=True)
class Done:
    """The verb ended well."""

    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The step is skipped: not needed, or a telling step that was refused. Of a refusal a person is told."""

    why: str
    refusal: Json | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after the delay, and not before `until`; `mark` asks for a person."""

    error: Json
    delay: timedelta
    mark: bool
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AskLater:
    """The customer is waited for."""

    wait: Wait
    deadline: datetime
    delay: timedelta


@dataclass(frozen=True, slots=True)
class TurnBack:
    """The pipeline cannot go on: roll back. `error` is for the customer, `failure` for the history."""

    event: EventType
    error: Json
    failure: Json


Move = Done | GiveUp | Retry | AskLater | TurnBack


@dataclass(frozen=True, slots=True)
class Situation:
    """What a decision depends on beside the outcome. Times are the database's; `chance` is in [0, 1)."""

    step: type[Step]
    begun: Begun
    name: str
    verb: Verb
    state: str
    deadline_at: datetime
    now: datetime
    chance: float
    conf: Conf
    words: Words = Words()
    is_probe: bool = False  # of an open circuit: that the settings are wrong was told when it opened

    @property
    def is_late(self) -> bool:
        """Whether staging's or the customer's time is over."""
        return self.verb == Verb.STAGE and self.now >= self.deadline_at

    @property
    def may_be_restored(self) -> bool:
        """Whether nobody looked at the pipeline for so long that its rows may be a backup's, older than the world."""
        return self.is_late and self.now - self.deadline_at >= UNSEEN

    def policy(self) -> RetryPolicy:
        """The retry policy of the verb."""
        return self.conf.STAGE_RETRY if self.verb == Verb.STAGE else self.conf.FINISH_RETRY


def decide(at: Situation, outcome: Outcome | StepFailure) -> Move:
    """What becomes of the job: one visible function over outcomes."""
    if isinstance(outcome, Refused):
        return _after_refusal(at, outcome)
    if isinstance(outcome, StepFailure):
        if at.is_late and at.state == PipelineState.STAGING:
            return too_late(at, outcome)
        return _again(at, outcome, mark=_is_overdue(at) or (isinstance(outcome, Misconfigured) and not at.is_probe))
    if isinstance(outcome, Wait):
        return _after_wait(at, outcome)
    if isinstance(outcome, Skip):
        return GiveUp(outcome.why)
    return Done(outcome or {})


def too_late(at: Situation, failure: StepFailure | None = None) -> TurnBack:
    """Staging's deadline has passed."""
    error = problem(
        "staging_timed_out",
        "Not completed in time",
        f"This could not be prepared in time: the fault is on our side. {at.words.unharmed} Please submit it again.",
        at.name,
    )
    return TurnBack(EventType.DEADLINE_PASSED, error, _failure(failure) if failure else {"code": "staging_timed_out"})


def problem(code: str, title: str, detail: str, step: str | None, field: str = "") -> Json:
    """A problem object (RFC 9457) for the customer."""
    made = {"type": f"urn:problem:{code.replace('_', '-')}", "title": title, "detail": detail, "code": code}
    if field:
        made["field"] = field
    return made | {"step": step}


def _after_refusal(at: Situation, refused: Refused) -> Move:
    if at.verb == Verb.STAGE or (at.verb == Verb.COMMIT and at.step.pivot):
        message = refused.message or f"This could not be done. {at.words.unharmed}"
        error = problem(refused.code, refused.title, message, at.name, refused.field)
        return TurnBack(EventType.REFUSED, error, _failure(refused))
    if at.step.tells:
        return GiveUp(refused.code, _failure(refused))
    return _again(at, refused, mark=True)


def _after_wait(at: Situation, wait: Wait) -> Move:
    if at.verb != Verb.STAGE:
        return _again(at, StepFailure("cannot_wait", "only the stage verb may wait"), mark=True)
    # The deadline is the first one given: asking again does not move it.
    deadline = at.deadline_at if at.state == PipelineState.WAITING else wait.deadline
    if at.now >= deadline:
        error = problem(
            "customer_timed_out",
            "Not confirmed in time",
            f"Your confirmation did not arrive in time. {at.words.unharmed} Please submit it again.",
            at.name,
        )
        return TurnBack(EventType.DEADLINE_PASSED, error, {"code": "customer_timed_out"})
    return AskLater(wait, deadline, at.conf.WAITING_POLL.delay(at.begun.attempt, at.chance))


def _again(at: Situation, failure: StepFailure, *, mark: bool) -> Retry:
    delay = at.policy().delay(at.begun.attempt, at.chance, failure.retry_after)
    until = _expected_at(at, failure)
    return Retry(_failure(failure), delay, mark and until is None and not at.begun.has_attention, until)


def _expected_at(at: Situation, failure: StepFailure) -> datetime | None:
    """When it works again, if it is known to; staging's and the customer's time end all the same."""
    until = failure.until if isinstance(failure, Unavailable) else None
    return min(until, at.deadline_at) if until and at.verb == Verb.STAGE else until


def _is_overdue(at: Situation) -> bool:
    return at.verb != Verb.STAGE and at.now - at.begun.verb_started_at >= at.conf.ATTENTION_AFTER


def _failure(failure: StepFailure) -> Json:
    return {"kind": failure.kind, "code": failure.code, "detail": failure.detail}
