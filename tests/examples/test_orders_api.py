"""Buyers and orders over HTTP."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from examples.ledger_orders.models import Buyer
from pipeline.models import Pipeline
from pipeline.testing import ScriptedBroker, drain
from tests.api.conftest import problem, wrong
from tests.beside import a_worker
from tests.examples.conftest import balance
from tests.postings.conftest import Outside

URL = "/api/v1/orders/"
Post = Callable[..., Any]


def body(buyer: Buyer, *amounts: Any, **changed: Any) -> dict[str, Any]:
    items = [{"vendor": f"Vendor {number}", "amount": amount} for number, amount in enumerate(amounts, start=1)]
    return {"buyer": str(buyer.pk), "line_items": items} | changed


@pytest.fixture
def working(broker: ScriptedBroker, outside: Outside) -> Iterator[None]:
    """A worker beside the request."""
    with a_worker(broker):
        yield


def test_buyers_are_listed_with_what_the_ledger_says_now(
    http: Client, buyers: list[Buyer], broker: ScriptedBroker, order: Callable[..., uuid.UUID]
) -> None:
    answer = http.get("/api/v1/buyers/")
    assert answer.status_code == 200
    assert answer.json() == {
        "next": None,
        "previous": None,
        "results": [
            {"id": str(buyers[0].pk), "name": "Greenfield School", "available_balance": 500_000},
            {"id": str(buyers[1].pk), "name": "Riverside Clinic", "available_balance": 150_000},
        ],
    }
    assert drain(order(1234), broker) == "committed"
    balances = [each["available_balance"] for each in http.get("/api/v1/buyers/").json()["results"]]
    assert balances == [500_000 - 1234, 150_000]


def test_while_the_ledger_does_not_answer_buyers_are_a_503(http: Client, buyers: list[Buyer], outside: Outside) -> None:
    outside.fault("modern_treasury", "ledger_accounts.list", "down", times=1)
    answer = http.get("/api/v1/buyers/")
    problem(answer, 503, "unavailable")
    assert int(answer["Retry-After"]) >= 1


def test_without_buyers_the_list_is_empty(http: Client, outside: Outside) -> None:
    assert http.get("/api/v1/buyers/").json()["results"] == []


def test_the_demo_buyers_are_made_once_and_keep_what_they_have_spent(
    buyers: list[Buyer], broker: ScriptedBroker, order: Callable[..., uuid.UUID]
) -> None:
    drain(order(1000), broker)
    call_command("bootstrap_examples", verbosity=0)
    assert [buyer.pk for buyer in Buyer.objects.order_by("name")] == [buyer.pk for buyer in buyers]
    assert [balance(buyer) for buyer in buyers] == [499_000, 150_000]


def test_without_a_ledger_there_are_no_demo_buyers_and_advice(outside: Outside) -> None:
    outside.fault("modern_treasury", "ledger_accounts.list", "down")
    with pytest.raises(CommandError, match="Run this again"):
        call_command("bootstrap_examples", verbosity=0)
    outside.sandbox.http.delete("/_sandbox/faults")


def test_an_order_is_accepted_and_followed_like_a_posting(
    post: Post, http: Client, buyer: Buyer, broker: ScriptedBroker
) -> None:
    answer = post(URL, body(buyer, 1200, "300"))
    assert answer.status_code == 202, answer.content
    shown = answer.json()
    assert answer["Location"] == f"/api/v1/pipelines/{shown['id']}/"
    assert answer["Retry-After"] == "1"
    assert (shown["workflow"], shown["state"]) == ("place_order", "staging")
    assert [step["name"] for step in shown["steps"]] == ["item_1", "item_2"]
    assert drain(uuid.UUID(shown["id"]), broker) == "committed"
    end = http.get(answer["Location"]).json()
    assert end["result"]["order"]["total"] == 1500


def test_the_same_order_twice_is_logged_once(
    post: Post, buyer: Buyer, broker: ScriptedBroker, outside: Outside
) -> None:
    first = post(URL, body(buyer, 1200), key="order-1234")
    again = post(URL, body(buyer, " 1200 "), key='"order-1234"')
    assert (again.status_code, again["Idempotent-Replayed"]) == (202, "true")
    assert again.json()["id"] == first.json()["id"]
    drain(uuid.UUID(first.json()["id"]), broker)
    late = post(URL, body(buyer, 1200), key="order-1234")
    assert late.json()["id"] == first.json()["id"]
    assert balance(buyer) == 500_000 - 1200
    problem(post(URL, body(buyer, 1201), key="order-1234"), 422, "idempotency_key_reused")


def test_whoever_waits_gets_the_decision(post: Post, buyer: Buyer, working: None) -> None:
    answer = post(URL, body(buyer, 1200), Prefer="wait=20")
    assert answer.status_code == 201, answer.content
    shown = answer.json()
    assert (shown["state"], answer["Preference-Applied"]) == ("committed", "wait")
    assert answer["Location"] == shown["links"]["self"]
    refused = post(URL, body(buyer, 500_000), Prefer="wait=20")
    assert problem(refused, 402, "not_enough_funds")["step"] == "item_1"


@pytest.mark.parametrize(
    ("changed", "errors"),
    [
        ({"buyer": "nobody"}, {"buyer": "invalid"}),
        ({"buyer": 7}, {"buyer": "invalid"}),
        ({"buyer": str(uuid.uuid4())}, {"buyer": "unknown_buyer"}),
        ({"buyer": None, "line_items": None}, {"buyer": "null", "line_items": "null"}),
        ({"line_items": []}, {"line_items": "empty"}),
        ({"line_items": "one"}, {"line_items": "not_a_list"}),
        ({"line_items": [{"vendor": "V", "amount": 1}] * 101}, {"line_items": "max_length"}),
        ({"line_items": [7]}, {"line_items.0": "invalid"}),
        (
            {"line_items": [{"vendor": "V", "amount": 1}, {"vendor": "", "amount": 0}]},
            {"line_items.1.vendor": "blank", "line_items.1.amount": "min_value"},
        ),
        ({"line_items": [{"vendor": "V", "amount": 1.5}]}, {"line_items.0.amount": "invalid"}),
        ({"line_items": [{"vendor": "V", "amount": True}]}, {"line_items.0.amount": "invalid"}),
        ({"line_items": [{"vendor": "V", "amount": 10**13}]}, {"line_items.0.amount": "max_value"}),
        ({"line_items": [{}]}, {"line_items.0.vendor": "required", "line_items.0.amount": "required"}),
    ],
)
def test_every_wrong_field_is_named(post: Post, buyer: Buyer, changed: dict[str, Any], errors: dict[str, str]) -> None:
    assert wrong(post(URL, body(buyer, 1) | changed)) == errors
    assert not Pipeline.objects.exists()


def test_a_hundred_items_are_accepted_and_a_form_is_not(post: Post, http: Client, buyer: Buyer) -> None:
    answer = post(URL, body(buyer, *[1] * 100))
    assert answer.status_code == 202
    assert answer.json()["progress"]["total"] == 100
    form = http.post(URL, {"buyer": str(buyer.pk)}, headers={"Idempotency-Key": "form-12345"})
    problem(form, 415)
    problem(http.post(URL, "{}", content_type="application/json"), 400)
