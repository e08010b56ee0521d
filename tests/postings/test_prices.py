"""What is shown is what is charged, in every currency that a plan may have: by the sandbox's own table."""

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client

from pipeline.models import Step
from pipeline.testing import ScriptedBroker, drain
from pipeline.verification import violations
from postings.models import Plan
from postings.plan_checks import check_prices
from postings.prices import CURRENCIES, LARGEST, formatted, major, wrong_price
from sandbox.providers.stripe import currencies as stripes
from tests.postings.conftest import Outside

AMOUNTS = (
    1,
    5,
    10,
    49,
    50,
    99,
    100,
    101,
    105,
    110,
    199,
    200,
    999,
    1000,
    1500,
    17_499,
    17_500,
    123_450,
    500_000,
    LARGEST,
)


def is_taken(amount: int, currency: str) -> bool:
    """Whether the sandbox creates an intent of it."""
    code = currency.lower()
    return (
        code in stripes.CURRENCIES
        and amount % stripes.step(code) == 0
        and stripes.smallest_amount(code) <= amount <= stripes.LARGEST_AMOUNT
    )


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
def test_a_price_is_read_as_the_cards_statement_says(currency: str) -> None:
    for amount in AMOUNTS:
        if wrong_price(amount, currency) is None:
            assert major(amount, currency) == Decimal(stripes.charged(amount, currency.lower()))


def test_every_currency_of_stripes_may_be_sold_in_and_no_other() -> None:
    assert {code.lower() for code in CURRENCIES} == stripes.CURRENCIES
    for currency in ("CUP", "IRR", "KPW", "SYP", "CLF", "XAU", "ZZZ"):
        assert wrong_price(10_000, currency) is not None


@pytest.mark.parametrize("currency", ["EUR", "USD", "GBP", "CZK", "HUF", "JPY", "ISK", "UGX", "KWD", "BHD", "TND"])
def test_stripe_takes_every_price_that_a_plan_may_have(currency: str) -> None:
    taken = [amount for amount in AMOUNTS if wrong_price(amount, currency) is None]
    assert taken
    assert all(is_taken(amount, currency) for amount in taken)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (500_000, "UGX", "5,000 UGX"),
        (500_000, "ISK", "5,000 ISK"),
        (4_900, "JPY", "4,900 JPY"),
        (4_900, "MGA", "4,900 MGA"),
        (12_340, "KWD", "12.340 KWD"),
        (4_900, "EUR", "49.00 EUR"),
        (1_990_000, "HUF", "19,900.00 HUF"),
    ],
)
def test_page_mail_and_statement_name_one_price(
    outside: Outside,
    broker: ScriptedBroker,
    submit: Any,
    plan: Plan,
    client: Client,
    amount: int,
    currency: str,
    text: str,
) -> None:
    Plan.objects.filter(pk=plan.pk).update(amount=amount, currency=currency)
    plan.refresh_from_db()
    plan.full_clean()
    assert text in client.get("/post/").content.decode()
    assert client.get("/api/v1/plans/").json()["results"][0]["price"] == {"amount": amount, "currency": currency}
    pipeline = submit(has_logo=False)
    assert drain(pipeline, broker) == "committed"
    (charged,) = [each["charged"] for each in outside.entries(pipeline) if each["effect"] == "captured"]
    assert Decimal(charged) == Decimal(text.split(maxsplit=1)[0].replace(",", ""))
    mail = Step.objects.get(pipeline_id=pipeline, name="email").calls["commit.send"]["params"]["mail"]
    assert all(text in part["value"] for part in mail["content"])
    outside.assert_verified(settled=True)


def test_verify_compares_the_price_shown_with_what_the_card_was_charged(
    outside: Outside, broker: ScriptedBroker, submit: Any, plan: Plan, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with the number that was sent: here the shop reads UGX as ISO 4217 does."""
    Plan.objects.filter(pk=plan.pk).update(amount=500_000, currency="UGX")
    plan.refresh_from_db()
    monkeypatch.setitem(CURRENCIES, "UGX", CURRENCIES["JPY"])
    pipeline = submit(has_logo=False)
    assert drain(pipeline, broker) == "committed"
    settings.SANDBOX_URL = outside.sandbox.url
    assert [(each.invariant, each.pipeline) for each in violations()] == [("I2", pipeline)]


@pytest.mark.parametrize(
    ("amount", "currency", "field"),
    [
        (20, "EUR", "amount"),
        (29, "GBP", "amount"),
        (500_050, "UGX", "amount"),
        (550, "ISK", "amount"),
        (1_234, "KWD", "amount"),
        (LARGEST + 1, "EUR", "amount"),
        (10_000, "IRR", "currency"),
        (10_000, "ZZZ", "currency"),
    ],
)
def test_a_price_that_stripe_does_not_charge_is_refused_and_one_that_is_there_is_named(
    amount: int, currency: str, field: str
) -> None:
    plan = Plan(slug="odd", name="Odd", amount=amount, currency=currency, duration_days=30)
    with pytest.raises(ValidationError) as refused:
        plan.full_clean()
    assert list(refused.value.message_dict) == [field]
    with pytest.raises(CommandError):
        call_command("plan", "odd", name="Odd", amount=amount, currency=currency, days=30)
    plan.save()  # as one from before, or by SQL
    (found,) = check_prices(None, databases=["default"])
    assert (found.id, "odd" in found.msg) == ("postings.E101", True)
    Plan.objects.update(is_on_sale=False)
    assert check_prices(None, databases=["default"]) == []


def test_a_plan_is_put_on_sale_and_changed_by_a_command() -> None:
    call_command("plan", "standard", name="Standard", amount=9900, currency="eur", days=30)
    call_command("plan", "standard", name="Standard", amount=500_000, currency="UGX", days=30)
    plan = Plan.objects.get()
    assert (formatted(plan.amount, plan.currency), plan.is_on_sale) == ("5,000 UGX", True)
