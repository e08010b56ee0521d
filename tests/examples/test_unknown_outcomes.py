"""docs/unknown-outcomes.md for the examples: each call whose outcome is unknown, asked about a day later."""

import time
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models import F

from examples.ledger_orders.models import Buyer
from examples.registrations.providers import supabase
from pipeline import actions
from pipeline.models import Pipeline, Step
from pipeline.sweep import sweep_once
from pipeline.testing import ScriptedBroker, advance, crash_at, drain, state_of
from tests.examples.conftest import balance
from tests.examples.test_example_faults import assert_ordered, assert_registered
from tests.postings.conftest import GIVE_UP_AFTER, Outside

KINDS = ("timeout_before", "timeout_after", "late", "error_after")
A_DAY = timedelta(hours=25)
SECONDS = {"late": 0.1, "timeout_before": GIVE_UP_AFTER + 0.3, "timeout_after": GIVE_UP_AFTER + 0.3}


def arm(outside: Outside, provider: str, route: str, kind: str) -> None:
    more = {"seconds": SECONDS[kind]} if kind in SECONDS else {}
    outside.fault(provider, route, kind, times=1, **more)


def a_day_later(outside: Outside, kind: str, has_arrived: Callable[[Outside], bool] | None = None) -> None:
    """The fault has struck, and what it held back is there. Staging's deadline is not what is tested here."""
    assert outside.fired() == 1, "the fault never struck: the test shows nothing"
    until = time.monotonic() + 5
    while kind == "late" and not (has_arrived or is_in_the_ledger)(outside):
        assert time.monotonic() < until, "the late request never arrived"
        time.sleep(0.01)
    Pipeline.objects.filter(state="staging").update(deadline_at=F("deadline_at") + 2 * A_DAY)
    outside.sandbox.post("clock", {"advance": A_DAY.total_seconds()})
    advance(A_DAY)


def is_in_the_ledger(outside: Outside) -> bool:
    """An effect whose client had given up."""
    return any(not entry["client_saw_answer"] for entry in outside.sandbox.ledger())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("route", ["create", "update"])
def test_an_order_is_posted_once(
    outside: Outside, broker: ScriptedBroker, order: Callable[..., uuid.UUID], buyer: Buyer, route: str, kind: str
) -> None:
    before = balance(buyer)
    arm(outside, "modern_treasury", f"ledger_transactions.{route}", kind)
    pipeline = order(1200, 300)
    broker.deliver_all()
    assert state_of(pipeline) in ("staging", "committing")
    a_day_later(outside, kind)
    assert drain(pipeline, broker) == "committed"
    assert_ordered(outside, pipeline, buyer, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("route", ["create", "update"])
def test_an_order_without_funds_leaves_nothing(
    outside: Outside, broker: ScriptedBroker, order: Callable[..., uuid.UUID], buyer: Buyer, route: str, kind: str
) -> None:
    before = balance(buyer)
    arm(outside, "modern_treasury", f"ledger_transactions.{route}", kind)
    pipeline = order(1200, before)
    broker.deliver_all()
    a_day_later(outside, kind)
    assert drain(pipeline, broker) == "rolled_back"
    assert_ordered(outside, pipeline, buyer, before)


@pytest.mark.parametrize("kind", KINDS)
def test_an_institution_is_registered_once(
    outside: Outside, broker: ScriptedBroker, register: Callable[..., uuid.UUID], kind: str
) -> None:
    arm(outside, "supabase", "users.create", kind)
    pipeline = register()
    broker.deliver_all()
    assert state_of(pipeline) == "staging"
    a_day_later(outside, kind)
    assert drain(pipeline, broker) == "committed"
    assert_registered(outside, pipeline)


@pytest.mark.parametrize("kind", KINDS)
def test_a_director_is_let_in(
    outside: Outside, broker: ScriptedBroker, register: Callable[..., uuid.UUID], kind: str
) -> None:
    arm(outside, "supabase", "users.update", kind)
    pipeline = register()
    broker.deliver_all()
    assert state_of(pipeline) == "committing"
    # Letting somebody in is no effect of the ledger's: only the user shows it.
    a_day_later(outside, kind, has_arrived=lambda _: is_admitted(pipeline))
    assert is_admitted(pipeline) == (kind != "timeout_before"), "the fault is not the one that was meant"
    assert drain(pipeline, broker) == "committed"
    assert is_admitted(pipeline)
    assert_registered(outside, pipeline)


def is_admitted(pipeline: uuid.UUID) -> bool:
    """Whether the director can log in, by Supabase's own account."""
    found = supabase.user(Step.objects.get(pipeline_id=pipeline, name="user").data["user"])
    return found is not None and found.is_admitted


@pytest.mark.parametrize("kind", KINDS)
def test_a_registration_that_turns_back_leaves_no_user(
    outside: Outside, broker: ScriptedBroker, register: Callable[..., uuid.UUID], kind: str
) -> None:
    arm(outside, "supabase", "users.delete", kind)
    crash_at("profile.stage.claimed")
    pipeline = register()
    broker.deliver_all()
    actions.cancel(pipeline)
    broker.deliver_all()
    sweep_once()  # takes the killed worker's job over
    broker.deliver_all()
    a_day_later(outside, kind)
    assert drain(pipeline, broker) == "rolled_back"
    assert_registered(outside, pipeline)
