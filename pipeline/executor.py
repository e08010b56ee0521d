"""Runs one job, and goes on with the next while that is due at once: claim, effect, record.

No transaction is open while a provider is called (a `local` step's verb is the exception: its effect is in this
database and shares the transaction of its record). A late owner's write fails on its fence. Whatever breaks in
between, the database tells what is due, and the sweep publishes it.
"""

import json
import logging
import random
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from pipeline import circuit, crashpoints, dispatch, marks, onward, transitions
from pipeline.circuit import Way
from pipeline.conf import conf
from pipeline.decide import AskLater, Done, GiveUp, Move, Retry, Situation, TurnBack, decide, too_late
from pipeline.errors import LostOwnership, Misconfigured, StepFailure, Unknown
from pipeline.hold import Hold
from pipeline.models import Pipeline
from pipeline.ownership import owner
from pipeline.parallel import Parallel
from pipeline.plan import Job, PipelineView
from pipeline.providers import budget
from pipeline.registry import find, known_jobs
from pipeline.results import result_of
from pipeline.run import Run
from pipeline.states import OPEN, RUNNING, PipelineState, StepState, Verb
from pipeline.transitions import Advanced, Begun, Following
from pipeline.workflow import Outcome, Skip, Step, Wait, Workflow

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Work:
    """One job in hand: what was claimed, and since when by this process's own clock."""

    job: Job
    begun: Begun
    view: PipelineView
    workflow: type[Workflow]
    step: type[Step]
    hold: Hold
    recorded_at: float = 0.0  # this process's clock from before the record was sent
    is_probe: bool = False  # claimed to find out whether its provider is back
    has_called: bool = False  # its provider, by this attempt or an earlier one

    def situation(self) -> Situation:
        """What the decision depends on, now."""
        return Situation(
            step=self.step,
            begun=self.begun,
            name=self.job.step,
            verb=self.job.verb,
            state=self.view.state,
            deadline_at=self.view.deadline_at,
            now=self.hold.now(),
            chance=random.random(),  # noqa: S311 - jitter
            conf=conf(),
            words=self.workflow.words,
            is_probe=self.is_probe,
        )


@dataclass(slots=True)
class Ended:
    """What is left for others: jobs handed to other threads, or to publish, and the next link of the chain if it goes
    on by message.
    """

    parallel: Parallel
    publish: list[Job] = field(default_factory=list)
    next_link: Job | None = None
    last: Job | None = None  # the job in whose record `next_link` became due


def run(job: Job, until: float = 0.0) -> Ended:
    """Run the job if it is its turn, and the ones that follow it while they are this worker's to run.

    It goes on `until` then, by the monotonic clock: for as long as the settings say, unless it is given.
    """
    until = until or time.monotonic() + conf().GO_ON_FOR.total_seconds()
    parallel = Parallel(lambda other: _run_beside(other, until))
    ended = Ended(parallel)
    try:
        _run(job, until, ended)
    except LostOwnership as lost:
        log.warning("pipeline %s: stopped in %s", job.pipeline, lost)
        ended = Ended(parallel)
    except BaseException:
        _start_afresh()
        raise
    finally:
        parallel.end()
    return ended


def _run_beside(job: Job, until: float) -> None:
    dispatch.publish(*run(job, until).publish)


def _run(job: Job, until: float, ended: Ended) -> None:
    mine = deque([job])
    work: Work | None = None
    while work is not None or mine:
        if work is None:
            work = _claim(mine.popleft())
            continue
        may_go_on = conf().GO_ON and time.monotonic() < until
        work = _step_forward(work, mine, ended, may_go_on=may_go_on)
        if not may_go_on:
            ended.publish.extend(mine)
            mine.clear()


def _start_afresh() -> None:
    """What was claimed or recorded is not known: give it all back, to be taken over at once, and connect anew."""
    owner().renounce()
    connection.close()


def _claim(job: Job) -> Work | None:
    crashpoints.reached(job.step, job.verb, "due")
    work = _claimed(job)
    if work is None and (way := _leave(job)) != Way.SHUT:
        work = _claimed(job, despite=True)
        if work is not None:
            work.is_probe = way == Way.PROBE
        elif way == Way.PROBE:
            circuit.give_back(job)
    return work


def _claimed(job: Job, *, despite: bool = False) -> Work | None:
    asked_at = time.monotonic()
    try:
        claimed = transitions.claim(job, owner().id(), despite=despite)
    except (InterfaceError, OperationalError):
        _start_afresh()  # most often a connection that died while it was idle
        asked_at = time.monotonic()
        claimed = transitions.claim(job, owner().id(), despite=despite)
    if claimed is None:
        return None
    begun, view = claimed
    return _work(job, begun, view, find(view.workflow, view.version), asked_at)


def _leave(job: Job) -> Way:
    """Not this process's turn. If it does not know the job, or is told to pause, it says when to look again.

    An open circuit may let it in all the same.
    """
    pipeline = Pipeline.objects.filter(pk=job.pipeline, finished_at=None).first()
    if pipeline is None:
        return Way.SHUT
    step = pipeline.steps.filter(name=job.step).first()
    is_known = step is not None and f"{pipeline.workflow} {pipeline.version} {step.kind}" in known_jobs()
    is_paused = conf().PAUSE_STAGING and pipeline.cursor == 0 and pipeline.state == PipelineState.STAGING
    if step is None or not is_known or is_paused:
        transitions.postpone(pipeline.pk, pipeline.seq)
        return Way.SHUT
    return circuit.way_in(job, pipeline, step)


def _work(job: Job, begun: Begun, view: PipelineView, workflow: type[Workflow], asked_at: float) -> Work:
    view = view.with_state(job.step, RUNNING[job.verb])
    step = workflow.step(view.step(job.step).kind)
    return Work(job, begun, view, workflow, step, Hold(job, begun, view, asked_at))


def _step_forward(work: Work, mine: deque[Job], ended: Ended, *, may_go_on: bool) -> Work | None:
    """One effect and its record. The next work in hand, if the record began it too."""
    then = (mine[0] if mine else onward.follower(work.view, work.job, work.workflow)) if may_go_on else None
    move, after = _perform(work, then)
    crashpoints.reached(work.job.step, work.job.verb, "recorded")
    view = onward.view_after(work.view, work.job, work.begun.data, move, after)
    begun = after.begun if isinstance(after, Advanced) else None
    if begun is not None and mine:
        mine.popleft()
    fresh = onward.opened_jobs(work.view, view)
    if view.state in OPEN:
        ended.next_link = fresh[0] if fresh and begun is None else None
        ended.last = work.job
    else:
        now, beside, others = onward.split(work.workflow, view, fresh) if may_go_on else ([], [], fresh)
        mine.extend(job for job in now if begun is None or job != then)
        # At once: they run while this thread goes on with its own.
        dispatch.publish(*ended.parallel.take(beside), *others)
        ended.next_link = None
    if ended.next_link is None:
        crashpoints.reached(work.job.step, work.job.verb, "published")
    if begun is None or then is None:
        return None
    return _work(then, begun, view, work.workflow, work.recorded_at)


def _perform(work: Work, then: Job | None) -> tuple[Move, Advanced | str]:
    crashpoints.reached(work.job.step, work.job.verb, "claimed")
    situation = work.situation()
    if situation.is_late and work.view.state == PipelineState.STAGING:
        if situation.may_be_restored:
            work.view = work.view.as_if_restored()
        move: Move = too_late(situation)
        return move, _record(work, move, None)
    if not work.step.local:
        outcome = _effect(work)
        _tell_circuit(work, outcome)
        move = decide(work.situation(), outcome)
        crashpoints.reached(work.job.step, work.job.verb, "effect")
        return move, _record(work, move, then)
    return _perform_local(work, then)


def _perform_local(work: Work, then: Job | None) -> tuple[Move, Advanced | str]:
    """Effect and record in one transaction: both or none."""
    with transaction.atomic():
        move = decide(work.situation(), _effect(work))
        crashpoints.reached(work.job.step, work.job.verb, "effect")
        if isinstance(move, Done | GiveUp):
            return move, _record(work, move, then)
        transaction.set_rollback(True)
    return move, _record(work, move, None)


def _tell_circuit(work: Work, outcome: Outcome | StepFailure) -> None:
    provider = work.step.provider_of(work.job.verb)
    if provider:
        circuit.learn(
            provider,
            outcome,
            pipeline=work.view.id,
            troubles=work.begun.troubles,
            is_probe=work.is_probe,
            has_called=work.has_called,
        )


def _effect(work: Work) -> Outcome | StepFailure:
    if work.step.does_nothing(work.job.verb):
        return None
    run = Run(
        pipeline_id=work.view.id,
        step=work.job.step,
        verb=work.job.verb,
        attempt=work.begun.attempt,
        input=work.view.input,
        args=work.view.step(work.job.step).args,
        data=dict(work.begun.data),
        calls=dict(work.begun.calls),
        others={step.name: step.data for step in work.view.steps},
        reason=work.view.reason,
        is_cancelled=work.view.is_cancelled,
        created_at=work.view.created_at,
        ledger=work.hold,
        is_restored=work.view.step(work.job.step).undo_pending and not work.step.undo_pending,
    )
    try:
        work.hold.check()
        with budget.at_most(min(conf().ATTEMPT_TIME, work.hold.left())):
            return _checked(getattr(work.step(), work.job.verb)(run))
    except StepFailure as failure:
        log.info("pipeline %s: %s of %s: %s", work.view.id, work.job.verb, work.job.step, failure)
        return failure
    except (LostOwnership, InterfaceError, OperationalError):
        raise
    except ImproperlyConfigured as error:
        log.exception("pipeline %s: %s of %s failed", work.view.id, work.job.verb, work.job.step)
        return Misconfigured("not_configured", str(error))
    except Exception as error:
        # A defect, or the soft time limit: the effect may exist. Tried again, marked in the history, never undone.
        log.exception("pipeline %s: %s of %s failed", work.view.id, work.job.verb, work.job.step)
        return Unknown("unexpected_error", type(error).__name__, outage=False)
    finally:
        work.has_called = bool(run.calls)


def _checked(outcome: Outcome) -> Outcome:
    """The outcome if it can be stored; TypeError or ValueError of an author's mistake if not."""
    if outcome is None or isinstance(outcome, Skip):
        return outcome
    if isinstance(outcome, Wait):
        if timezone.is_naive(outcome.deadline):
            raise ValueError("Wait's deadline has no time zone: derive it from run.now.")
        kept: list[Any] = [outcome.next_action, outcome.data]
    elif isinstance(outcome, Mapping):
        kept = [outcome]
    else:
        raise TypeError(f"A verb returns None, a dict to record, Skip or Wait, and not {type(outcome).__name__}.")
    if "\\u0000" in json.dumps([dict(each) for each in kept], allow_nan=False):
        raise ValueError("NUL characters cannot be stored.")
    return outcome


def _record(work: Work, move: Move, then: Job | None) -> Advanced | str:
    """The guarded write of the move; LostOwnership if the job is no longer ours."""
    job, begun = work.job, work.begun
    work.recorded_at = time.monotonic()
    after: Advanced | str | None
    match move:
        case Done(data):
            after = _advance(work, data, {}, then, is_skipped=False)
        case GiveUp(why, refusal):
            after = _give_up(work, why, refusal, then)
        case Retry(error, delay, mark, until):
            after = transitions.fail(job, begun, error=error, delay=delay, mark=mark, until=until)
        case AskLater(wait, deadline, delay):
            after = transitions.wait(
                job, begun, data=wait.data, next_action=wait.next_action, deadline=deadline, delay=delay
            )
        case TurnBack(event, error, failure):
            after = transitions.turn_back_by_owner(
                job, begun, work.view.steps, event=event, error=error, failure=failure
            )
            if after is None and job.verb == Verb.STAGE:
                # The customer or a person turned it back meanwhile: what is left is to end this attempt.
                after = transitions.fail(job, begun, error=failure, delay=timedelta(0), mark=False)
    if after is None:
        raise LostOwnership(f"{job.verb} of {job.step}: its fence was raised")
    return after


def _give_up(work: Work, why: str, refusal: Mapping[str, Any] | None, then: Job | None) -> Advanced | None:
    """Skip the step. Whom it should have told does not know: of a refusal a person is told, in the same write."""
    with transaction.atomic():
        after = _advance(work, {}, {"why": why}, then, is_skipped=True)
        if after is not None and refusal is not None:
            marks.attention(work.view.id, {**refusal, "by": "engine", "about": work.job.step})
    return after


def _used_up(work: Work) -> tuple[str, ...]:
    return work.step.secrets + work.step.attachments if work.job.verb == Verb.STAGE else ()


def _advance(
    work: Work, data: Mapping[str, Any], note: Mapping[str, Any], then: Job | None, *, is_skipped: bool
) -> Advanced | None:
    """Record the end of a job. If others moved while this was to be the last one, look again and repeat."""
    while True:
        after = transitions.advance(
            work.job,
            work.begun,
            data=data,
            note=note,
            is_skipped=is_skipped,
            erase=_used_up(work),
            seen_seq=work.view.seq,
            result=_result(work, data, is_skipped=is_skipped),
            then=_following(work, then) if then else None,
        )
        if after is not None:
            return after
        seen = work.view.seq
        work.view = transitions.look_again(work.view)
        if work.view.seq == seen:
            return None
        work.recorded_at = time.monotonic()


def _following(work: Work, then: Job) -> Following:
    return Following(then, work.workflow.step(work.view.step(then.step).kind).provider_of(then.verb))


def _result(work: Work, data: Mapping[str, Any], *, is_skipped: bool) -> Mapping[str, Any] | None:
    """The pipeline's answer, if this is its last job as far as is known here."""
    others = [step for step in work.view.steps if step.name != work.job.step]
    is_last = all(step.state in (StepState.COMMITTED, StepState.SKIPPED) for step in others)
    if not is_last or not (is_skipped or work.job.verb == Verb.COMMIT):
        return None
    recorded = {step.name: step.data for step in others} | {work.job.step: work.begun.data | dict(data)}
    return result_of(work.workflow, work.view.input, recorded)
