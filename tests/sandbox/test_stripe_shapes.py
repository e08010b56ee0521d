"""The sandbox's answers have exactly the members of Stripe's own fixtures, and the SDK knows every nested one."""

import json
from pathlib import Path
from typing import Any

import pytest
import stripe

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "stripe"
# Stubs in the fixtures, where Stripe filled in one member of many: held against the SDK's classes alone.
STUBS = {"last_payment_error", "next_action", "installments", "wallet", "shipping", "processing", "transfer_data"}


def fixture(name: str) -> dict[str, Any]:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def annotations(cls: type | None) -> dict[str, str]:
    classes = [] if cls is None else cls.__mro__
    return {
        name: str(kind) for each in reversed(classes) for name, kind in vars(each).get("__annotations__", {}).items()
    }


def differences(ours: Any, theirs: Any, cls: type | None, path: str) -> list[str]:
    """Missing, invented and differently typed members of `ours`; `theirs` is None where there is no fixture."""
    known = annotations(cls)
    found = [f"invented: {path}.{name}" for name in ours if name not in known and name not in (theirs or {})]
    found += [f"missing: {path}.{name}" for name in theirs or {} if name not in ours]
    inner = getattr(cls, "_inner_class_types", {})
    for name, value in ours.items():
        where, example = f"{path}.{name}", (theirs or {}).get(name)
        if value is None:
            if example is not None and not any(word in known.get(name, "Optional") for word in ("Optional", "None")):
                found.append(f"null: {where}")
        elif example is not None and type(value) is not type(example):
            found.append(f"type: {where} is {type(value).__name__}, not {type(example).__name__}")
        elif isinstance(value, dict) and name not in ("metadata", "payment_method_options", "use_stripe_sdk", "object"):
            nested = inner.get(name, {"payment_method": stripe.PaymentMethod}.get(name))
            found += differences(value, None if name in STUBS or not example else example, nested, where)
    return found


def raw(sandbox, path: str) -> dict[str, Any]:
    answer = sandbox.http.get(f"/stripe/v1/{path}", headers={"authorization": "Bearer sk_test_x"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def intent_in(sandbox, create, state: str) -> stripe.PaymentIntent:
    client = sandbox.stripe()
    if state == "declined":
        with pytest.raises(stripe.CardError) as declined:
            create(client, "pm_card_chargeDeclined", confirm=True)
        return declined.value.error.payment_intent
    made = {
        "unconfirmed": lambda: create(client),
        "held": lambda: create(client, confirm=True),
        "captured": lambda: client.v1.payment_intents.capture(create(client, confirm=True).id),
        "voided": lambda: client.v1.payment_intents.cancel(create(client, confirm=True).id),
        "waiting": lambda: create(client, "pm_card_authenticationRequired", confirm=True),
        "redirected": lambda: create(
            client, "pm_card_authenticationRequired", confirm=True, return_url="https://shop.example/back"
        ),
    }
    return made[state]()


STATES = ["unconfirmed", "held", "captured", "voided", "waiting", "redirected", "declined"]


@pytest.mark.parametrize("state", STATES)
def test_a_payment_intent_has_the_shape_of_stripes(sandbox, create, state):
    ours = raw(sandbox, f"payment_intents/{intent_in(sandbox, create, state).id}")
    assert differences(ours, fixture("payment_intent"), stripe.PaymentIntent, "payment_intent") == []


@pytest.mark.parametrize("state", ["held", "captured", "voided", "declined"])
def test_a_charge_has_the_shape_of_stripes(sandbox, create, state):
    ours = raw(sandbox, f"charges/{intent_in(sandbox, create, state).latest_charge}")
    assert differences(ours, fixture("charge"), stripe.Charge, "charge") == []


def test_a_payment_method_has_the_shape_of_stripes(sandbox):
    ours = raw(sandbox, "payment_methods/pm_card_visa")
    assert differences(ours, fixture("payment_method"), stripe.PaymentMethod, "payment_method") == []


def test_a_refund_has_the_shape_of_stripes(sandbox, create):
    refund = sandbox.stripe().v1.refunds.create({"payment_intent": intent_in(sandbox, create, "captured").id})
    assert differences(raw(sandbox, f"refunds/{refund.id}"), fixture("refund"), stripe.Refund, "refund") == []


def test_a_dispute_has_the_shape_of_stripes(sandbox, create):
    ours = sandbox.post(f"stripe/charges/{intent_in(sandbox, create, 'captured').id}/dispute")
    assert differences(ours, fixture("dispute"), stripe.Dispute, "dispute") == []


def test_an_event_has_the_shape_of_stripes(sandbox, create):
    create(sandbox.stripe(), key="key-1")
    (ours,) = raw(sandbox, "events")["data"]
    assert differences(ours, fixture("event"), stripe.Event, "event") == []
    assert differences(raw(sandbox, f"events/{ours['id']}"), fixture("event"), stripe.Event, "event") == []
    assert ours["request"]["idempotency_key"] == "key-1"


def test_lists_have_the_shape_of_stripes(sandbox, create):
    create(sandbox.stripe())
    for path in ("payment_intents", "events", "refunds"):
        ours = raw(sandbox, path)
        assert differences(ours, fixture("charge")["refunds"], stripe.ListObject, path) == []
        assert ours["url"] == f"/v1/{path}"
    found = raw(sandbox, "payment_intents/search?query=status:'requires_confirmation'")
    assert found["object"] == "search_result"
    assert set(found) == {"object", "url", *vars(stripe.SearchResultObject)["__annotations__"]}


def test_the_comparison_notices_what_is_missing_invented_or_of_another_type(sandbox):
    theirs = fixture("payment_method")
    wrong = {**theirs, "created": "now", "surprise": 1, "card": {**theirs["card"], "brand": None}}
    del wrong["livemode"]
    assert sorted(differences(wrong, theirs, stripe.PaymentMethod, "x")) == [
        "invented: x.surprise",
        "missing: x.livemode",
        "null: x.card.brand",
        "type: x.created is str, not int",
    ]


@pytest.mark.parametrize("state", STATES)
def test_the_sdk_parses_what_it_gets_into_its_own_classes(sandbox, create, state):
    client = sandbox.stripe()
    intent_id = intent_in(sandbox, create, state).id
    parsed = client.v1.payment_intents.retrieve(intent_id, {"expand": ["latest_charge", "payment_method"]})
    assert type(parsed) is stripe.PaymentIntent
    assert parsed.latest_charge is None or type(parsed.latest_charge) is stripe.Charge
    assert parsed.payment_method is None or type(parsed.payment_method) is stripe.PaymentMethod
