"""The SMS: told once, whatever happens on the way; a number that takes none ends the telling only."""

import inspect
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from pipeline.models import Step
from pipeline.testing import IN_THE_END, ScriptedBroker, crash_at, drain
from postings.providers import twilio
from postings.steps.sms import SmsStep
from tests.postings.conftest import Outside
from tests.postings.vendor import Answer, Vendor, serving

Submit = Callable[..., uuid.UUID]
PHONE = "+4930123456"


@pytest.fixture
def messages(settings: Any) -> list[dict[str, str]]:
    """What Twilio has taken."""
    settings.SMS_ENABLED, settings.MAIL_GRACE = True, timedelta(0)
    settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN, settings.TWILIO_FROM = "AC1", "secret", "+15005550006"
    return []


@pytest.fixture
def phone_company(messages: list[dict[str, str]], settings: Any) -> Iterator[Vendor]:
    def answer(method: str, path: str, query: dict[str, str], body: str) -> Answer:
        assert path == "/2010-04-01/Accounts/AC1/Messages.json"
        if method == "GET":
            found = [each for each in messages if each["to"] == query["To"]]
            return 200, {"messages": found}
        form = dict(parse_qsl(body))
        messages.insert(0, {"to": form["To"], "body": form["Body"], "status": "queued"})
        return 201, {"sid": f"SM{len(messages)}", "status": "queued"}

    with serving(Vendor(answer)) as vendor:
        settings.TWILIO_API_BASE = vendor.url
        yield vendor


def _sms(pipeline: uuid.UUID) -> Step:
    return Step.objects.get(pipeline_id=pipeline, name="sms")


def _submit(submit: Submit, card: str = "pm_card_visa", **changed: Any) -> uuid.UUID:
    return submit(card, **({"has_logo": False, "contact_phone": PHONE} | changed))


def test_a_customer_with_a_phone_number_is_told_by_sms(
    outside: Outside, broker: ScriptedBroker, submit: Submit, phone_company: Vendor, messages: list[dict[str, str]]
) -> None:
    pipeline = _submit(submit)
    assert drain(pipeline, broker) == "committed"
    [message] = messages
    assert message["to"] == PHONE
    assert "/jobs/" in message["body"]
    assert str(pipeline) not in message["body"]
    assert [step.name for step in Step.objects.filter(pipeline_id=pipeline).order_by("position")][-1] == "sms"


def test_the_readme_shows_the_step_as_it_is() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert inspect.getsource(SmsStep) in readme


def test_without_a_phone_number_it_is_skipped(
    outside: Outside, broker: ScriptedBroker, submit: Submit, phone_company: Vendor, messages: list[dict[str, str]]
) -> None:
    pipeline = _submit(submit, contact_phone="")
    assert drain(pipeline, broker) == "committed"
    assert (_sms(pipeline).state, messages) == ("skipped", [])


def test_while_switched_off_a_posting_has_no_such_step(
    outside: Outside, broker: ScriptedBroker, submit: Submit, phone_company: Vendor, settings: Any
) -> None:
    settings.SMS_ENABLED = False
    assert not Step.objects.filter(pipeline_id=_submit(submit), name="sms").exists()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "error_after"])
def test_an_unknown_sending_is_looked_up_and_told_once(
    outside: Outside,
    broker: ScriptedBroker,
    submit: Submit,
    phone_company: Vendor,
    messages: list[dict[str, str]],
    fault: str,
    times: int,
) -> None:
    phone_company.faults.extend([fault] * times)
    pipeline = _submit(submit)
    assert drain(pipeline, broker) == "committed"
    assert (_sms(pipeline).state, len(messages)) == ("committed", 1)
    assert phone_company.writes == (times + 1 if fault == "drop_before" else 1)


@pytest.mark.parametrize("verb", ["stage", "commit"])
@pytest.mark.parametrize("point", ["claimed", "effect", "recorded"])
def test_a_killed_worker_costs_no_second_sms(
    outside: Outside,
    broker: ScriptedBroker,
    submit: Submit,
    phone_company: Vendor,
    messages: list[dict[str, str]],
    verb: str,
    point: str,
) -> None:
    crash_at(f"sms.{verb}.{point}")
    pipeline = _submit(submit)
    assert drain(pipeline, broker) == "committed"
    assert len(messages) == 1


def test_messages_that_come_twice_tell_once(
    outside: Outside, broker: ScriptedBroker, submit: Submit, phone_company: Vendor, messages: list[dict[str, str]]
) -> None:
    pipeline = _submit(submit)
    for _ in range(4):
        broker.duplicate()
        broker.deliver_all()
    assert drain(pipeline, broker) == "committed"
    broker.replay_all()
    broker.deliver_all()
    assert len(messages) == 1


def test_nobody_is_told_by_sms_of_a_posting_that_was_not_published(
    outside: Outside, broker: ScriptedBroker, submit: Submit, phone_company: Vendor, messages: list[dict[str, str]]
) -> None:
    assert drain(_submit(submit, "pm_card_chargeDeclined"), broker) == "rolled_back"
    assert messages == []


def test_a_number_that_takes_no_sms_ends_the_telling_and_not_the_posting(
    outside: Outside, broker: ScriptedBroker, submit: Submit, phone_company: Vendor
) -> None:
    phone_company.faults.append((400, {"code": 21614, "message": "not a mobile number", "status": 400}))
    pipeline = _submit(submit)
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"  # a person is told
    assert _sms(pipeline).state == "skipped"


@pytest.mark.parametrize(
    ("status", "code", "kind", "ours"),
    [
        (400, 21211, "refused", "sms_refused"),
        (400, 21606, "unavailable", "twilio_settings"),
        (401, 20003, "unavailable", "twilio_credentials"),
        (429, 20429, "unavailable", "rate_limited"),
        (500, 20500, "unknown", "server_error"),
        (503, 20503, "unknown", "server_error"),
    ],
)
def test_every_answer_is_refused_unavailable_or_unknown(
    phone_company: Vendor, status: int, code: int, kind: str, ours: str
) -> None:
    phone_company.faults.append((status, {"code": code, "status": status}))
    with pytest.raises(twilio.StepFailure) as failure:
        twilio.send(twilio.message(to=PHONE, text="x", reference="r"))
    assert (failure.value.kind, failure.value.code) == (kind, ours)


def test_without_a_connection_it_was_certainly_not_sent(phone_company: Vendor, settings: Any) -> None:
    settings.TWILIO_API_BASE = "http://127.0.0.1:1"
    with pytest.raises(twilio.Unavailable):
        twilio.send(twilio.message(to=PHONE, text="x", reference="r"))
