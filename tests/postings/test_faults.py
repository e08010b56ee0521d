"""Every fault of every provider's route: all of it or nothing, each once."""

import uuid
from collections.abc import Callable

import pytest

from pipeline.models import Pipeline
from pipeline.testing import ScriptedBroker, drain
from tests.faults import KINDS
from tests.postings.conftest import Outside

FORWARD = (
    ("s3", "objects.put"),
    ("stripe", "payment_intents.create"),
    ("stripe", "payment_intents.confirm"),
    ("stripe", "payment_intents.capture"),
    ("sendgrid", "mail.send"),
)
BACKWARD = (
    ("stripe", "payment_intents.create"),
    ("stripe", "payment_intents.confirm"),
    ("stripe", "payment_intents.cancel"),
    ("s3", "objects.delete"),
    ("sendgrid", "mail.send"),
)
# Striking three times in a row: Stripe's stored 500, which is replayed, and answers that keep getting lost.
AGAIN = {"error_after", "drop_after", "down"}
# What an unknown outcome may double: nothing but a mail, whose provider cannot be asked.
UNKNOWN = {"error_after", "drop_after", "timeout_after", "late", "truncate", "drip"}


def _cases(routes: tuple[tuple[str, str], ...]) -> list[tuple[str, str, str, int]]:
    return [
        (provider, route, kind, times)
        for provider, route in routes
        for kind in (*KINDS, *(("lock_timeout",) if provider == "stripe" else ()))
        for times in ((1, 3) if kind in AGAIN else (1,))
    ]


def _arm(outside: Outside, provider: str, route: str, kind: str, times: int) -> int:
    outside.fault(provider, route, kind, times=times)
    return 1 + times if provider == "sendgrid" and kind in UNKNOWN else 1


@pytest.mark.parametrize(("provider", "route", "kind", "times"), _cases(FORWARD))
def test_a_good_card_is_charged_once_for_one_posting_whatever_fails(
    outside: Outside,
    broker: ScriptedBroker,
    submit: Callable[..., uuid.UUID],
    provider: str,
    route: str,
    kind: str,
    times: int,
) -> None:
    mails = _arm(outside, provider, route, kind, times)
    pipeline = submit()
    assert drain(pipeline, broker) == "committed"
    assert 1 <= outside.fired() <= times, "the fault never struck: the test shows nothing"
    outside.assert_agrees(pipeline, mails_at_most=mails)


@pytest.mark.parametrize(("provider", "route", "kind", "times"), _cases(BACKWARD))
def test_a_declined_card_leaves_nothing_behind_whatever_fails(
    outside: Outside,
    broker: ScriptedBroker,
    submit: Callable[..., uuid.UUID],
    provider: str,
    route: str,
    kind: str,
    times: int,
) -> None:
    mails = _arm(outside, provider, route, kind, times)
    pipeline = submit("pm_card_chargeDeclined")
    assert drain(pipeline, broker) == "rolled_back"
    assert 1 <= outside.fired() <= times, "the fault never struck: the test shows nothing"
    outside.assert_agrees(pipeline, mails_at_most=mails)
    assert Pipeline.objects.get(pk=pipeline).error["code"] == "card_declined"
