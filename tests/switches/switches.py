"""Twelve mechanisms of safety and one of privacy, each broken from outside: what a part of the matrix must notice."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from pipeline import actions, executor, ownership, run, statements, tasks, transitions
from pipeline.db import Statement
from pipeline.plan import Job
from postings.providers import stripe
from postings.steps import payment
from postings.steps.email import EmailStep
from postings.steps.payment import PaymentStep
from postings.steps.posting import PostingStep
from tests.matrix import play
from tests.matrix.play import Shop
from tests.switches import parts

Break = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Switch:
    """One mechanism: how it is broken, and the part of the matrix that is played with it and without."""

    name: str
    breaks: Break
    part: Callable[[Shop], None]


def no_idempotency_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stripe, "_options", lambda call: {})


def another_key_at_each_attempt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stripe, "_options", lambda call: {"idempotency_key": uuid.uuid4().hex})


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """Late owners' writes are let through: neither their number nor their name is asked for."""
    for name in ("ADVANCE", "FAIL", "WAIT", "TURN_BACK", "RECORD"):
        _rewrite(
            patch,
            getattr(statements, name),
            r"(?<=AND )((?:s\.)?(?:fence|owner) (?:=|IS NOT DISTINCT FROM) %\(\w+\)s)",
        )


def no_sweep(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(play, "sweep_once", lambda: 0)


def rollback_from_an_errback(patch: pytest.MonkeyPatch) -> None:
    """A task that ends with an exception turns its pipeline back, as link_error would."""
    run_job = tasks.run_job

    def with_errback(job: Job, links: tasks.Links) -> None:
        try:
            run_job(job, links)
        except Exception:
            actions.roll_back(job.pipeline, by="an errback", reason="the task has failed")
            raise

    patch.setattr(tasks, "run_job", with_errback)


def published_when_staged(patch: pytest.MonkeyPatch) -> None:
    stage = PostingStep.stage

    def early(step: PostingStep, given: Any) -> Any:
        made = stage(step, given)
        PostingStep.commit(step, given)
        return made

    patch.setattr(PostingStep, "stage", early)


def claim_without_guard(patch: pytest.MonkeyPatch) -> None:
    """Whoever has the message takes the job, owned or not."""
    _rewrite(patch, statements.CLAIM, r"(n\.owner IS NULL)")


def replay_after_the_key_was_forgotten(patch: pytest.MonkeyPatch) -> None:
    for module in (run, payment):  # the call's own time, and the pipeline's
        patch.setattr(module, "REPLAY_HORIZON", timedelta(days=365))


def captured_when_held(patch: pytest.MonkeyPatch) -> None:
    stage = PaymentStep.stage

    def early(step: PaymentStep, given: Any) -> Any:
        held = stage(step, given)
        stripe.capture(given.data["intent"], given.call("capture", {}))
        return held

    patch.setattr(PaymentStep, "stage", early)


def receipt_before_the_capture(patch: pytest.MonkeyPatch) -> None:
    stage = EmailStep.stage

    def early(step: EmailStep, given: Any) -> Any:
        stage(step, given)
        return step._tell(given, "receipt", {"url": ""})

    patch.setattr(EmailStep, "stage", early)


def no_lock_of_the_owner(patch: pytest.MonkeyPatch) -> None:
    """Owners have a number and no advisory lock, so that nobody can tell a living one from a dead one."""
    patch.setattr(ownership, "_TAKE", "SELECT nextval('pipeline_owner_seq')::int, pg_backend_pid()")
    patch.setattr(ownership, "_PROVE", "SELECT 1")


def intent_created_again(patch: pytest.MonkeyPatch) -> None:
    """The recorded id is passed over: each attempt makes an intent of its own."""

    def anew(step: PaymentStep, given: Any, call: run.Call) -> Any:
        return stripe.create(call) if call.is_new else None

    patch.setattr(PaymentStep, "_recorded", lambda step, given: None)
    patch.setattr(PaymentStep, "_answer_of", anew)


def secrets_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(executor, "_used_up", lambda work: ())


SWITCHES = (
    Switch("no idempotency key", no_idempotency_key, parts.a_lost_create),
    Switch("a key that changes with every attempt", another_key_at_each_attempt, parts.a_lost_create),
    Switch("no fence", no_fence, parts.a_late_owner),
    Switch("no sweep", no_sweep, parts.a_lost_message),
    Switch("rollback from an errback", rollback_from_an_errback, parts.a_task_that_fails_after_its_record),
    Switch("published before the commit", published_when_staged, parts.a_look_at_each_moment),
    Switch("claim without guard", claim_without_guard, parts.a_receipt_under_way),
    Switch("replay after the key was forgotten", replay_after_the_key_was_forgotten, parts.a_create_of_yesterday),
    Switch("capture before all is staged", captured_when_held, parts.a_late_change_of_mind),
    Switch("receipt before the capture", receipt_before_the_capture, parts.a_late_change_of_mind),
    Switch("no lock of the owner (two owners)", no_lock_of_the_owner, parts.a_sweep_while_it_sends),
    Switch("the recorded intent passed over", intent_created_again, parts.a_lost_authorisation),
    Switch("secrets kept", secrets_kept, parts.a_secret_that_was_used),
)


def _rewrite(patch: pytest.MonkeyPatch, statement: Statement, guard: str) -> None:
    """Make the guard always hold, also in what is derived of the statement; its parameters stay where they are."""
    text, times = re.subn(guard, r"(true OR \1)", statement._text)
    assert times, "the guard is not in the statement: the switch breaks nothing"
    patch.setattr(statement, "_text", text)
    patch.setattr(statement, "_sql", Statement(text, statement._types, statement._constants)._sql)
    for derived in ("_claim", "_advance"):  # kept once they were made
        patch.setattr(transitions, derived, cache(getattr(transitions, derived).__wrapped__))
