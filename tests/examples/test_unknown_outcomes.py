"""docs/unknown-outcomes.md for the examples: each call whose outcome is unknown, asked about a day later."""

import uuid
from collections.abc import Callable

import pytest

from examples.ledger_orders.models import Buyer
from examples.registrations.providers import supabase
from pipeline import actions
from pipeline.models import Step
from pipeline.sweep import sweep_once
from pipeline.testing import IN_THE_END, ScriptedBroker, crash_at, drain, state_of
from tests.examples.conftest import balance
from tests.examples.test_example_faults import assert_ordered, assert_registered
from tests.faults import LEAVING_UNKNOWN, a_day_later, leave_unknown
from tests.postings.conftest import Outside


@pytest.mark.parametrize("kind", LEAVING_UNKNOWN)
@pytest.mark.parametrize("route", ["create", "update"])
def test_an_order_is_posted_once(
    outside: Outside, broker: ScriptedBroker, order: Callable[..., uuid.UUID], buyer: Buyer, route: str, kind: str
) -> None:
    before = balance(buyer)
    leave_unknown(outside, "modern_treasury", f"ledger_transactions.{route}", kind)
    pipeline = order(1200, 300)
    broker.deliver_all()
    assert state_of(pipeline) in ("staging", "committing")
    a_day_later(outside, kind)
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"
    assert_ordered(outside, pipeline, buyer, before)


@pytest.mark.parametrize("kind", LEAVING_UNKNOWN)
@pytest.mark.parametrize("route", ["create", "update"])
def test_an_order_without_funds_leaves_nothing(
    outside: Outside, broker: ScriptedBroker, order: Callable[..., uuid.UUID], buyer: Buyer, route: str, kind: str
) -> None:
    before = balance(buyer)
    leave_unknown(outside, "modern_treasury", f"ledger_transactions.{route}", kind)
    pipeline = order(1200, before)
    broker.deliver_all()
    a_day_later(outside, kind)
    assert drain(pipeline, broker, within=IN_THE_END) == "rolled_back"
    assert_ordered(outside, pipeline, buyer, before)


@pytest.mark.parametrize("kind", LEAVING_UNKNOWN)
def test_an_institution_is_registered_once(
    outside: Outside, broker: ScriptedBroker, register: Callable[..., uuid.UUID], kind: str
) -> None:
    leave_unknown(outside, "supabase", "users.create", kind)
    pipeline = register()
    broker.deliver_all()
    assert state_of(pipeline) == "staging"
    a_day_later(outside, kind)
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"
    assert_registered(outside, pipeline)


@pytest.mark.parametrize("kind", LEAVING_UNKNOWN)
def test_a_director_is_let_in(
    outside: Outside, broker: ScriptedBroker, register: Callable[..., uuid.UUID], kind: str
) -> None:
    leave_unknown(outside, "supabase", "users.update", kind)
    pipeline = register()
    broker.deliver_all()
    assert state_of(pipeline) == "committing"
    # Letting somebody in is no effect of the ledger's: only the user shows it.
    a_day_later(outside, kind, is_there=lambda _: is_admitted(pipeline))
    assert is_admitted(pipeline) == (kind != "timeout_before"), "the fault is not the one that was meant"
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"
    assert is_admitted(pipeline)
    assert_registered(outside, pipeline)


def is_admitted(pipeline: uuid.UUID) -> bool:
    """Whether the director can log in, by Supabase's own account."""
    found = supabase.user(Step.objects.get(pipeline_id=pipeline, name="user").data["user"])
    return found is not None and found.is_admitted


@pytest.mark.parametrize("kind", LEAVING_UNKNOWN)
def test_a_registration_that_turns_back_leaves_no_user(
    outside: Outside, broker: ScriptedBroker, register: Callable[..., uuid.UUID], kind: str
) -> None:
    leave_unknown(outside, "supabase", "users.delete", kind)
    crash_at("profile.stage.claimed")
    pipeline = register()
    broker.deliver_all()
    actions.cancel(pipeline)
    broker.deliver_all()
    sweep_once()  # takes the killed worker's job over
    broker.deliver_all()
    a_day_later(outside, kind)
    assert drain(pipeline, broker, within=IN_THE_END) == "rolled_back"
    assert_registered(outside, pipeline)
