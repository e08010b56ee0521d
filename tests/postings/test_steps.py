"""Logo, posting and email: what each leaves outside, and what it does not."""

import hashlib
import uuid
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO

import pytest
from PIL import Image

from pipeline import actions
from pipeline.models import Attachment, Inbox, Pipeline, Step
from pipeline.testing import IN_THE_END, SOON, ScriptedBroker, crash_at, drain, state_of
from postings import logo as pictures
from postings import markdown
from postings.models import Posting
from postings.providers import storage
from tests.postings.conftest import Outside

Submit = Callable[..., uuid.UUID]


def test_a_logo_is_stored_as_a_plain_png_under_a_key_that_says_nothing(
    outside: Outside, broker: ScriptedBroker, submit: Submit, logo: bytes
) -> None:
    assert b"secret place" in logo
    pipeline = submit()
    drain(pipeline, broker)
    posting = Posting.objects.get(pipeline_id=pipeline)
    stored = storage.read(posting.logo_key)
    assert b"secret place" not in stored
    with Image.open(BytesIO(stored)) as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 32))
    assert str(pipeline) not in posting.logo_key
    assert "acme" not in posting.logo_key.lower()


def test_what_the_request_has_made_ready_is_stored_as_it_is(
    outside: Outside, broker: ScriptedBroker, submit: Submit, logo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = pictures.stored_form(pictures.inspect(logo), 0)
    pipeline = submit(picture=ready)
    monkeypatch.setattr(Image, "open", None)  # nobody decodes it again
    assert drain(pipeline, broker) == "committed"
    assert storage.read(Posting.objects.get(pipeline_id=pipeline).logo_key) == ready


def test_a_logo_of_an_older_release_that_does_not_decode_is_refused(
    outside: Outside, broker: ScriptedBroker, submit: Submit, logo: bytes
) -> None:
    pipeline = submit(picture=logo[: len(logo) // 2])
    assert drain(pipeline, broker) == "rolled_back"
    assert (Pipeline.objects.get(pk=pipeline).error or {})["code"] == "logo_unreadable"
    assert outside.effects(pipeline) == ["email_accepted"]  # not published, not charged


def test_without_room_to_decode_the_logo_is_tried_again(
    outside: Outside, broker: ScriptedBroker, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postings.steps.logo.PATIENCE", 0.01)
    pipeline = submit()
    with pictures.ROOM.take(pictures.ROOM.size, 0):
        broker.deliver_all()
    step = Step.objects.get(pipeline_id=pipeline, name="logo")
    assert (step.state, (step.error or {})["code"]) == ("staging", "decoders_busy")
    assert drain(pipeline, broker) == "committed"


def test_a_logo_is_erased_from_the_database_once_it_is_staged(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    crash_at("posting.stage.claimed")
    pipeline = submit()
    assert Attachment.objects.filter(pipeline_id=pipeline).exists()
    broker.deliver_all()
    assert Step.objects.get(pipeline_id=pipeline, name="logo").state == "staged"
    assert not Attachment.objects.filter(pipeline_id=pipeline).exists()


def test_without_a_logo_its_step_is_skipped(outside: Outside, broker: ScriptedBroker, submit: Submit) -> None:
    pipeline = submit(has_logo=False)
    assert drain(pipeline, broker) == "committed"
    assert Step.objects.get(pipeline_id=pipeline, name="logo").state == "skipped"
    assert Posting.objects.get(pipeline_id=pipeline).logo_key == ""
    assert outside.effects(pipeline) == ["authorised", "captured", "email_accepted"]


def test_a_key_that_somebody_else_holds_is_not_overwritten(
    outside: Outside, broker: ScriptedBroker, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postings.steps.logo.name_of", lambda *_: "taken")
    theirs = b"somebody else's"
    digest = hashlib.sha256(theirs).hexdigest()
    storage.put_new("logos/taken.png", theirs, content_type="image/png", reference="other", digest=digest)
    pipeline = submit()
    assert drain(pipeline, broker, within=SOON) == "rolled_back"
    assert storage.read("logos/taken.png") == theirs


def test_a_description_is_stored_as_html_when_it_is_staged(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    plain, table = "Somebody who likes **pipelines**, please.", "|a" * 2000 + "\n" + "|-" * 2000 + "\n" + "|\n" * 3000
    for text, html in ((plain, "<strong>pipelines</strong>"), (table, "<p>|a|a")):
        pipeline = submit(has_logo=False, description=text)
        drain(pipeline, broker)
        posting = Posting.objects.get(pipeline_id=pipeline)
        assert posting.description == text
        assert html in posting.description_html
        assert posting.description_version == markdown.VERSION


def test_a_posting_is_hidden_until_it_is_paid_for(outside: Outside, broker: ScriptedBroker, submit: Submit) -> None:
    outside.fault("stripe", "payment_intents.capture", "down", times=1)
    pipeline = submit()
    broker.deliver_all()
    assert state_of(pipeline) == "committing"
    assert Posting.objects.get(pipeline_id=pipeline).state == "hidden"
    drain(pipeline, broker, within=IN_THE_END)
    posting = Posting.objects.get(pipeline_id=pipeline)
    assert posting.state == "published"
    assert posting.expires_at - posting.published_at == timedelta(days=30)


def test_the_result_names_the_posting_and_its_page(outside: Outside, broker: ScriptedBroker, submit: Submit) -> None:
    pipeline = submit()
    drain(pipeline, broker)
    posting = Posting.objects.get(pipeline_id=pipeline)
    result = Pipeline.objects.get(pk=pipeline).result
    assert result["posting"]["id"] == str(posting.id)
    assert result["posting"]["url"].endswith(f"/jobs/{posting.slug}/")


def test_a_mail_whose_fate_the_webhook_has_told_is_not_sent_again(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    outside.fault("sendgrid", "mail.send", "drop_after", times=1)
    pipeline = submit()
    broker.deliver_all()
    Inbox.objects.create(
        provider="sendgrid",
        event_id="1",
        pipeline_id=pipeline,
        kind="processed",
        data={"step": "email", "verb": "commit"},
    )
    assert actions.hint(pipeline, by="sendgrid")
    assert drain(pipeline, broker) == "committed"
    assert outside.mails(pipeline) == ["receipt"]


def test_a_receipt_whose_address_is_refused_ends_the_telling_and_not_the_posting(
    outside: Outside, broker: ScriptedBroker, submit: Submit
) -> None:
    pipeline = submit(contact_email="not an address")
    assert drain(pipeline, broker, within=IN_THE_END) == "committed"
    assert Step.objects.get(pipeline_id=pipeline, name="email").state == "skipped"
    assert Posting.objects.get(pipeline_id=pipeline).state == "published"


def test_a_subject_cannot_smuggle_a_header_in(outside: Outside, broker: ScriptedBroker, submit: Submit) -> None:
    pipeline = submit(title="Engineer\r\nBcc: everybody@example.com")
    drain(pipeline, broker)
    [mail] = outside.sandbox.get("state")["mails"]
    assert "\n" not in mail["subject"]
    assert "\r" not in mail["subject"]


def test_nothing_personal_stands_in_an_event(outside: Outside, broker: ScriptedBroker, submit: Submit) -> None:
    pipeline = submit("pm_card_chargeDeclined", contact_email="canary@example.com", company_name="Canary Ltd")
    drain(pipeline, broker)
    told = " ".join(str(event.data) for event in Pipeline.objects.get(pk=pipeline).events.all())
    assert "anary" not in told
