"""Every fault of the examples' providers, and every place where a worker may die: all of it or nothing, each once."""

import uuid
from collections import Counter
from collections.abc import Callable

import pytest

from examples.ledger_orders.models import Buyer
from examples.registrations.models import Institution, Profile
from pipeline import actions
from pipeline.models import Pipeline
from pipeline.testing import ScriptedBroker, crash_at, drain, fail_at, snapshot
from tests.examples.conftest import balance
from tests.faults import KINDS
from tests.postings.conftest import Outside

UNKNOWN = ("error_after", "drop_after", "late", "truncate")
# A repeated update or deletion is no news: what is refused before anything happens shows nothing more there.
FINAL = (*UNKNOWN, "conflict", "rate_limit", "down")
FORWARD = [*(("create", kind) for kind in KINDS), *(("update", kind) for kind in FINAL)]
POINTS = ("claimed", "effect", "recorded")


def assert_ordered(outside: Outside, pipeline: uuid.UUID, buyer: Buyer, before: int) -> None:
    """The guarantee, seen from the ledger."""
    effects = Counter(outside.effects(pipeline))
    if Pipeline.objects.get(pk=pipeline).state == "committed":
        assert effects == {"ledger_pending": 2, "ledger_posted": 2}
        assert balance(buyer) == before - 1500
    else:
        assert effects["ledger_pending"] == effects["ledger_archived"]
        assert effects["ledger_posted"] == 0
        assert balance(buyer) == before


def assert_registered(outside: Outside, pipeline: uuid.UUID) -> None:
    """The guarantee, seen from Supabase and from the tables."""
    effects = outside.effects(pipeline)
    states = list(Institution.objects.filter(pipeline_id=pipeline).values_list("state", flat=True))
    profiles = Profile.objects.filter(institution__pipeline_id=pipeline).count()
    if Pipeline.objects.get(pk=pipeline).state == "committed":
        assert (effects, states, profiles) == (["user_created"], ["trial"], 1)
    else:
        assert (effects.count("user_created") - effects.count("user_deleted"), states, profiles) == (0, [], 0)


@pytest.mark.parametrize(("route", "kind"), FORWARD)
def test_an_order_is_posted_once_whatever_fails(
    outside: Outside,
    broker: ScriptedBroker,
    order: Callable[..., uuid.UUID],
    buyer: Buyer,
    route: str,
    kind: str,
) -> None:
    before = balance(buyer)
    outside.fault("modern_treasury", f"ledger_transactions.{route}", kind, times=1)
    pipeline = order(1200, 300)
    assert drain(pipeline, broker) == "committed"
    assert outside.fired() == 1, "the fault never struck: the test shows nothing"
    assert_ordered(outside, pipeline, buyer, before)


@pytest.mark.parametrize("kind", UNKNOWN)
@pytest.mark.parametrize("route", ["create", "update"])
def test_an_order_without_funds_leaves_nothing_whatever_fails(
    outside: Outside,
    broker: ScriptedBroker,
    order: Callable[..., uuid.UUID],
    buyer: Buyer,
    route: str,
    kind: str,
) -> None:
    before = balance(buyer)
    outside.fault("modern_treasury", f"ledger_transactions.{route}", kind, times=1)
    pipeline = order(1200, before)
    assert drain(pipeline, broker) == "rolled_back"
    assert outside.fired() == 1, "the fault never struck: the test shows nothing"
    assert_ordered(outside, pipeline, buyer, before)
    assert Pipeline.objects.get(pk=pipeline).error["code"] == "not_enough_funds"


@pytest.mark.parametrize(("route", "kind"), FORWARD)
def test_an_institution_is_registered_once_whatever_fails(
    outside: Outside, broker: ScriptedBroker, register: Callable[..., uuid.UUID], route: str, kind: str
) -> None:
    outside.fault("supabase", f"users.{route}", kind, times=1)
    pipeline = register()
    assert drain(pipeline, broker) == "committed"
    assert outside.fired() == 1, "the fault never struck: the test shows nothing"
    assert_registered(outside, pipeline)


@pytest.mark.parametrize("kind", FINAL)
def test_a_registration_that_turns_back_leaves_no_user_whatever_fails(
    outside: Outside, broker: ScriptedBroker, register: Callable[..., uuid.UUID], kind: str
) -> None:
    outside.fault("supabase", "users.delete", kind, times=1)
    crash_at("profile.stage.claimed")
    pipeline = register()
    broker.deliver_all()
    actions.cancel(pipeline)
    assert drain(pipeline, broker) == "rolled_back"
    assert outside.fired() == 1, "the fault never struck: the test shows nothing"
    assert_registered(outside, pipeline)


PLACES = [(verb, point) for verb in ("stage", "commit", "rollback") for point in POINTS]


@pytest.mark.parametrize("kind", ["kill", "exception"])
@pytest.mark.parametrize(("verb", "point"), PLACES)
def test_an_order_survives_the_death_of_its_worker_and_messages_that_come_twice(
    outside: Outside,
    broker: ScriptedBroker,
    order: Callable[..., uuid.UUID],
    buyer: Buyer,
    kind: str,
    verb: str,
    point: str,
) -> None:
    before = balance(buyer)
    (crash_at if kind == "kill" else fail_at)(f"item_1.{verb}.{point}")
    pipeline = order(1200, before if verb == "rollback" else 300)
    broker.duplicate()
    assert drain(pipeline, broker) == ("rolled_back" if verb == "rollback" else "committed")
    assert_ordered(outside, pipeline, buyer, before)
    rows = snapshot(pipeline)
    broker.replay_all([pipeline])
    assert snapshot(pipeline) == rows
    assert_ordered(outside, pipeline, buyer, before)


@pytest.mark.parametrize("step", ["institution", "user", "profile"])
@pytest.mark.parametrize(("verb", "point"), PLACES)
def test_a_registration_survives_the_death_of_its_worker_and_messages_that_come_twice(
    outside: Outside,
    broker: ScriptedBroker,
    register: Callable[..., uuid.UUID],
    verb: str,
    point: str,
    step: str,
) -> None:
    if verb == "rollback":
        crash_at("profile.stage.claimed")
    else:
        crash_at(f"{step}.{verb}.{point}")
    pipeline = register()
    broker.duplicate()
    if verb == "rollback":
        broker.deliver_all()
        crash_at(f"{step}.rollback.{point}")
        actions.cancel(pipeline)
    assert drain(pipeline, broker) == ("rolled_back" if verb == "rollback" else "committed")
    assert_registered(outside, pipeline)
    rows = snapshot(pipeline)
    broker.replay_all([pipeline])
    assert snapshot(pipeline) == rows
    assert_registered(outside, pipeline)
