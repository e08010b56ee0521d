"""A create that was refused made nothing: its pipeline is rolled back at once, and nothing stays locked."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from examples.ledger_orders.models import Buyer
from pipeline import actions
from pipeline.models import Circuit, Event, Pipeline, Step
from pipeline.testing import IN_THE_END, SOON, ScriptedBroker, drain
from tests.examples.conftest import balance
from tests.postings.conftest import Outside

Start = Callable[..., uuid.UUID]
CREATE = "ledger_transactions.create"
LIST = "ledger_transactions.list"


def _counted(outside: Outside, provider: str, route: str) -> Callable[[], int]:
    """How often a route is asked from now on: a latency of nothing counts its requests."""
    outside.fault(provider, route, "latency", seconds=0)
    return lambda: sum(
        fault["calls"] for fault in outside.sandbox.faults() if (fault["route"], fault["kind"]) == (route, "latency")
    )


def test_a_line_item_whose_create_is_refused_is_not_sent_again(
    outside: Outside, broker: ScriptedBroker, order: Start, buyer: Buyer
) -> None:
    before = balance(buyer)
    asked = _counted(outside, "modern_treasury", CREATE)
    outside.fault("modern_treasury", CREATE, "bad_request")
    pipeline = order(1200)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert asked() == 1
    assert outside.entries(pipeline) == []
    assert balance(buyer) == before


def test_a_400_for_a_create_that_was_made_frees_the_funds(
    outside: Outside, broker: ScriptedBroker, order: Start, buyer: Buyer
) -> None:
    """The ledger's documentation says 409 for a key in use; whatever it says, the refusal proves nothing here."""
    before = balance(buyer)
    outside.fault("modern_treasury", CREATE, "drop_after", times=1)
    outside.fault("modern_treasury", CREATE, "bad_request")
    asked = _counted(outside, "modern_treasury", LIST)
    pipeline = order(1200)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert outside.effects(pipeline) == ["ledger_pending", "ledger_archived"]
    assert asked() == 1
    assert balance(buyer) == before


def test_a_create_in_doubt_that_is_refused_when_it_is_undone_is_looked_up(
    outside: Outside, broker: ScriptedBroker, order: Start, buyer: Buyer
) -> None:
    before = balance(buyer)
    outside.fault("modern_treasury", CREATE, "drop_after", times=1)
    outside.fault("modern_treasury", CREATE, "bad_request")
    pipeline = order(1200)
    broker.deliver_all()
    actions.cancel(pipeline)
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert outside.effects(pipeline) == ["ledger_pending", "ledger_archived"]
    assert balance(buyer) == before


def test_a_login_whose_create_is_refused_is_given_up_at_once(
    outside: Outside, broker: ScriptedBroker, register: Start
) -> None:
    asked = _counted(outside, "supabase", "users.retrieve")
    outside.fault("supabase", "users.create", "bad_request")
    pipeline = register()
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert asked() == 0
    assert outside.entries(pipeline) == []


def test_a_wrong_address_of_the_login_s_provider_is_told_to_a_person_and_not_blamed_on_the_customer(
    outside: Outside, broker: ScriptedBroker, register: Start, settings: Any
) -> None:
    settings.SUPABASE_URL = f"{outside.sandbox.url}/supabase/nowhere"
    pipeline = register()
    broker.deliver_all()
    assert "SUPABASE_URL" in Event.objects.get(pipeline=pipeline, type="attention").data["detail"]
    assert Pipeline.objects.get(pk=pipeline).state == "staging"


@pytest.mark.parametrize(
    ("provider", "begin", "cure"),
    [("modern_treasury", "order", "MODERN_TREASURY_API_KEY"), ("supabase", "register", "SUPABASE_KEY")],
)
def test_a_refused_key_is_told_to_a_person_and_opens_the_circuit_at_once(
    outside: Outside, broker: ScriptedBroker, request: pytest.FixtureRequest, provider: str, begin: str, cure: str
) -> None:
    start = request.getfixturevalue(begin)
    outside.fault(provider, None, "unauthorised")
    pipeline = start(1200) if begin == "order" else start()
    broker.deliver_all()
    assert cure in Event.objects.get(pipeline=pipeline, type="attention").data["detail"]
    assert Circuit.objects.get(provider=provider).opened_at is not None
    assert drain(pipeline, broker, within=IN_THE_END) == "rolled_back"
    assert Pipeline.objects.get(pk=pipeline).error["code"] == "staging_timed_out"
    assert Step.objects.filter(pipeline=pipeline, attention=True).count() == 0
    assert outside.entries(pipeline) == []
