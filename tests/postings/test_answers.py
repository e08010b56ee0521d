"""What providers answer is checked before anything goes on, and what customers typed before it is sent."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.models import Step
from pipeline.testing import ScriptedBroker, drain, state_of
from postings.providers import stripe
from tests.postings.conftest import Outside

Submit = Callable[..., uuid.UUID]


@pytest.mark.parametrize("wrong", [{"amount": 1}, {"currency": "usd"}, {"reference": str(uuid.UUID(int=1))}], ids=str)
def test_an_intent_that_is_not_what_was_asked_for_goes_no_further(
    outside: Outside, broker: ScriptedBroker, submit: Submit, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    create = stripe.create
    monkeypatch.setattr(stripe, "create", lambda call: replace(create(call), **wrong))
    pipeline = submit(has_logo=False)
    broker.deliver_all()
    step = Step.objects.get(pipeline=pipeline, name="payment")
    assert (step.error["code"], state_of(pipeline)) == ("intent_differs", "staging")
    assert "authorised" not in outside.effects(pipeline)
    monkeypatch.setattr(stripe, "create", create)
    assert drain(pipeline, broker) == "committed"


def test_a_hold_that_changed_is_not_captured(
    outside: Outside, broker: ScriptedBroker, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = stripe.capture
    monkeypatch.setattr(stripe, "capture", lambda intent, call: replace(capture(intent, call), amount=1))
    pipeline = submit(has_logo=False)
    broker.deliver_all()
    step = Step.objects.get(pipeline=pipeline, name="payment")
    assert (step.error["code"], state_of(pipeline)) == ("intent_differs", "committing")
    assert outside.mails(pipeline) == []
    assert drain(pipeline, broker) == "committed"  # reading it back shows what was asked for


def test_a_mails_subject_is_one_line_and_its_html_is_escaped(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    """Even if the request's checks had let it through."""
    pipeline = submit(has_logo=False, title="Engineer\r\nBcc: everybody@example.com", company_name="<b>ACME</b>")
    assert drain(pipeline, broker) == "committed"
    (call,) = Step.objects.get(pipeline=pipeline, name="email").calls.values()
    mail = call["params"]["mail"]
    assert mail["subject"] == "Your posting is online: Engineer Bcc: everybody@example.com"
    assert [each["email"] for each in mail["personalizations"][0]["to"]] == ["customer@example.com"]
    (html,) = [part["value"] for part in mail["content"] if part["type"] == "text/html"]
    assert "&lt;b&gt;ACME&lt;/b&gt;" in html
