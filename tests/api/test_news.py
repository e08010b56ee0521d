"""News after the end, as docs/operations.md says: each kind in each phase, by a signed webhook."""

import base64
import json
import time
import uuid

import pytest
import stripe
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import connection

from pipeline import actions, marks, retention
from pipeline.attention import tell_untold
from pipeline.models import Event, Finding, Inbox, Pipeline, Step
from pipeline.states import PipelineState
from postings.models import PendingNews
from postings.news import meaning
from postings.news.meaning import Phase
from postings.news.pending import settle_pending
from postings.providers import stripe_money
from tests.conftest import ROOT

PHASES = [phase.value for phase in Phase]
SECTION = (
    (ROOT.parent / "docs" / "operations.md").read_text().split("### … news comes after the end")[1].split("###")[0]
)
LINES = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in SECTION.splitlines() if "| `" in line]
MONEY = [line for line in LINES if len(line) == 9]
MESSAGES = [line for line in LINES if len(line) == 5]
OWN = "of a withdrawal's own: "

# By the table's name: the events of Stripe's that it stands for, and what tells them apart.
EVENTS = {
    "charge.refunded": [("charge.refunded", {"object": "charge", "captured": True, "amount_refunded": 5})],
    "charge.refunded (hold released)": [("charge.refunded", {"object": "charge", "captured": False})],
    "refund (failed)": [
        ("refund.failed", {"object": "refund", "status": "failed"}),
        ("refund.updated", {"object": "refund", "status": "failed"}),
        ("refund.updated", {"object": "refund", "status": "canceled"}),
        ("charge.refund.updated", {"object": "refund", "status": "failed"}),
    ],
    "refund (pending)": [("refund.created", {"object": "refund", "status": "pending"})],
    "refund (succeeded)": [
        ("refund.created", {"object": "refund", "status": "succeeded"}),
        ("refund.updated", {"object": "refund", "status": "succeeded"}),
    ],
    "charge.dispute.closed (lost)": [("charge.dispute.closed", {"object": "dispute", "status": "lost"})],
    "charge.dispute.closed": [
        ("charge.dispute.closed", {"object": "dispute", "status": status}) for status in ("won", "warning_closed")
    ],
    "charge.captured": [
        ("charge.captured", {"object": "charge", "captured": True}),
        ("charge.succeeded", {"object": "charge", "captured": True}),
    ],
    "any other": [
        (kind, {"object": "charge", "captured": False})
        for kind in ("charge.succeeded", "charge.updated", "charge.failed", "charge.pending", "payment_intent.new")
    ],
}


def named(line):
    return line[0].removeprefix(OWN).strip("`")


@pytest.fixture
def tell(http, db, settings):
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_news"]

    def send(kind, about, id="evt_1", created=1_700_000_000):
        event = {"id": id, "object": "event", "type": kind, "created": created, "data": {"object": about}}
        body = json.dumps(event)
        header = stripe.WebhookSignature.generate_signature_header(body, "whsec_news", int(time.time()))
        answer = http.post(
            "/webhooks/stripe/", body, content_type="application/json", headers={"Stripe-Signature": header}
        )
        assert answer.status_code == 204, answer.content

    return send


@pytest.fixture
def in_phase(begin):
    """`in_phase(phase)`: a pipeline that stands there, its payment and its mail done as far as they are then."""

    def make(phase, *, gives_back=False, intent="pi_9"):
        pipeline = begin()
        changes = {
            "open": "state = state",
            "committing": "state = 'committing', cursor = step_count",
            "committed": "state = 'committed', cursor = step_count, finished_at = now(), due_at = NULL",
            "rolling back": "state = 'rolling_back', error = '{}'",
            "rolled back": "state = 'rolled_back', error = '{}', finished_at = now(), due_at = NULL",
        }
        ended = ", pivots = 0, effects = 0, tells = 0" if phase in ("committed", "rolled back") else ""
        name = ", workflow = 'withdraw_posting'" if gives_back else ""
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE pipeline_pipeline SET {changes[phase]}{ended}{name} WHERE id = %s", [pipeline])
        Step.objects.filter(pipeline=pipeline, name="payment").update(data={"intent": intent})
        return pipeline

    return make


def done(pipeline):
    """What was done about it: `hint`, `mark` or nothing, and the mark's code."""
    row = Pipeline.objects.get(pk=pipeline)
    events = list(Event.objects.filter(pipeline=pipeline, type__in=["hinted", "attention"]))
    assert row.attention == len([event for event in events if event.type == "attention"])
    if not events:
        return "-", "-"
    [event] = events
    return {"hinted": "hint", "attention": "mark"}[event.type], event.data.get("code", "-")


def test_the_table_is_the_documents():
    rows = [*meaning.PAYMENTS, *meaning.REFUNDS]
    assert [line[0].removeprefix(OWN).strip("`") for line in MONEY] == [row.kind for row in rows]
    assert [line[1:7] for line in MONEY] == [[str(act) for act in row.acts] for row in rows]
    assert [line[7].strip("`") for line in MONEY] == [row.code or "-" for row in rows]
    assert [line[0].strip("`") for line in MESSAGES] == [row.kind for row in meaning.MESSAGES]
    for row in [*rows, *meaning.MESSAGES]:
        assert bool(row.code) == ("mark" in row.acts) == bool(row.cure), row
        assert row.means in SECTION
        assert row.cure in SECTION
        assert len(row.acts) == len(PHASES)


def test_every_state_of_a_pipeline_is_a_phase():
    assert set(meaning.PHASES) == set(PipelineState.values)


@pytest.mark.parametrize("line", MONEY, ids=[line[0] for line in MONEY])
def test_each_kind_of_money_news_does_in_each_phase_what_the_document_says(tell, in_phase, line):
    gives_back, code = line[0].startswith(OWN), line[7].strip("`")
    for kind, given in EVENTS.get(named(line), [(named(line), {"object": named(line).partition(".")[0]})]):
        about = {"id": "pi_9" if given["object"] == "payment_intent" else "xx_1", "charge": "ch_1"} | given
        for phase, act in zip(PHASES[:-1], line[1:6], strict=True):
            intent = f"pi_{uuid.uuid4()}"
            pipeline = in_phase(phase, gives_back=gives_back, intent=intent)
            marked = {"metadata": {"pipeline_id": str(pipeline)}} if gives_back else {"payment_intent": intent}
            if given["object"] == "payment_intent":
                about["id"] = intent
            event = f"evt_{uuid.uuid4()}"
            for _ in range(2):
                tell(kind, about | marked, id=event)
            assert done(pipeline) == (act, code if act == "mark" else "-"), (kind, given, phase)


@pytest.mark.parametrize("line", MONEY, ids=[line[0] for line in MONEY])
def test_money_news_of_nobody_s_is_looked_up_and_then_a_finding(tell, line, monkeypatch):
    monkeypatch.setattr(stripe_money, "whose", lambda charge, intent: ("", intent))
    for kind, given in EVENTS.get(named(line), [(named(line), {"object": named(line).partition(".")[0]})]):
        tell(kind, {"id": "xx_1", "charge": "ch_1", "payment_intent": "pi_of_nobody"} | given, id=f"evt_{uuid.uuid4()}")
        settle_all()
        assert not PendingNews.objects.exists()
        found = [] if line[6] == "-" else [line[7].strip("`")]
        assert [finding.kind for finding in Finding.objects.all()] == found, kind


@pytest.mark.parametrize(
    "names",
    [
        {"metadata": {"pipeline_id": None}},
        {"payment_intent": "pi_9"},
        {"payment_intent": {"id": "pi_9", "object": "payment_intent"}},
        {"payment_intent": {"id": "pi_other", "metadata": {"pipeline_id": None}}},
        {"payment_intent": None, "charge": {"id": "ch_1", "metadata": {"pipeline_id": None}}},
        {"payment_intent": None, "charge": {"id": "ch_1", "payment_intent": "pi_9"}},
    ],
)
def test_the_pipeline_is_found_however_the_object_names_its_payment(tell, in_phase, names):
    pipeline = in_phase("committed")
    told = json.loads(json.dumps(names).replace('"pipeline_id": null', f'"pipeline_id": "{pipeline}"'))
    tell("charge.dispute.created", {"id": "dp_1", "object": "dispute"} | told)
    assert done(pipeline) == ("mark", "disputed")


def test_of_a_reaped_pipeline_news_is_marked_too(tell, in_phase, settings):
    pipeline = in_phase("committed")
    retention.erase(pipeline, by="test", reason="a test")
    tell("charge.dispute.created", {"id": "dp_1", "metadata": {"pipeline_id": str(pipeline)}})
    assert Pipeline.objects.get(pk=pipeline).attention == 1


def test_one_refund_is_told_once_by_whatever_events_it_comes_and_a_second_one_again(tell, in_phase):
    pipeline = in_phase("committed")
    for number, kind in enumerate(("refund.updated", "charge.refund.updated", "refund.failed")):
        tell(kind, {"id": "re_1", "status": "failed", "payment_intent": "pi_9"}, id=f"evt_{number}")
    assert done(pipeline) == ("mark", "refund_failed")
    tell("refund.failed", {"id": "re_2", "status": "failed", "payment_intent": "pi_9"}, id="evt_9")
    assert Pipeline.objects.get(pk=pipeline).attention == 2


def test_a_partial_refund_after_another_is_told_again(tell, in_phase):
    pipeline = in_phase("committed")
    for amount in (5, 5, 9):
        about = {"id": "ch_1", "object": "charge", "captured": True, "amount_refunded": amount}
        tell("charge.refunded", about | {"payment_intent": "pi_9"}, id=f"evt_{uuid.uuid4()}")
    assert Pipeline.objects.get(pk=pipeline).attention == 2


def test_a_dispute_is_told_when_it_is_opened_and_when_it_is_lost(tell, in_phase):
    pipeline = in_phase("rolled back")
    about = {"id": "dp_1", "object": "dispute", "payment_intent": "pi_9"}
    tell("charge.dispute.funds_withdrawn", about, id="evt_1")
    tell("charge.dispute.created", about, id="evt_2")
    assert done(pipeline) == ("mark", "disputed")
    tell("charge.dispute.closed", about | {"status": "lost"}, id="evt_3")
    codes = [mark["code"] for mark in marks.standing_of(pipeline)]
    assert codes == ["disputed", "dispute_lost"]


def test_a_capture_that_the_rollback_has_refunded_is_no_news(tell, in_phase):
    pipeline = in_phase("rolled back")
    Step.objects.filter(pipeline=pipeline, name="payment").update(calls={"rollback.refund": {"generation": 1}})
    tell("payment_intent.succeeded", {"id": "pi_9", "object": "payment_intent"})
    assert done(pipeline) == ("-", "-")


def test_a_mark_on_a_rolled_back_pipeline_is_mailed_counted_and_acknowledged(tell, in_phase, settings, http):
    settings.PIPELINE = settings.PIPELINE | {"ON_ATTENTION": "tests.api.test_news.note"}
    settings.METRICS_PUBLIC = True
    NOTED.clear()
    pipeline = in_phase("rolled back")
    tell("refund.failed", {"id": "re_1", "status": "failed", "payment_intent": "pi_9"})
    tell_untold()
    assert [pipeline] == NOTED
    assert "pipelines_needing_attention 1.0" in http.get("/metrics").content.decode()
    assert http.get(f"/api/v1/pipelines/{pipeline}/").json()["needs_attention"] is True
    actions.acknowledge(pipeline, by="olga", reason="paid back by bank transfer")
    assert Pipeline.objects.get(pk=pipeline).attention == 0
    assert marks.standing_of(pipeline) == []
    tell("refund.updated", {"id": "re_1", "status": "failed", "payment_intent": "pi_9"}, id="evt_2")
    assert Pipeline.objects.get(pk=pipeline).attention == 0, "a person knows of it"


NOTED = []


def note(pipeline):
    NOTED.append(pipeline.pk)


# --- mails ----------------------------------------------------------------------------------------


@pytest.fixture
def post_mail(http, db, settings):
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    settings.SENDGRID_WEBHOOK_PUBLIC_KEY = base64.b64encode(der).decode()

    def send(*events):
        body, at = json.dumps(events), str(int(time.time()))
        signature = base64.b64encode(key.sign((at + body).encode(), ec.ECDSA(hashes.SHA256()))).decode()
        headers = {
            "X-Twilio-Email-Event-Webhook-Signature": signature,
            "X-Twilio-Email-Event-Webhook-Timestamp": at,
        }
        answer = http.post("/webhooks/sendgrid/", body, content_type="application/json", headers=headers)
        assert answer.status_code == 204

    return send


def mail(event, pipeline=None, *, at=1000, sending="1", step="email", message="14c5.dfd", **more):
    """An event; without a pipeline it carries none of our arguments."""
    ours = {"pipeline_id": str(pipeline), "step": step, "verb": "commit", "sending": sending} if pipeline else {}
    blocked = {"type": "blocked"} if event == "blocked" else {}
    about = {
        "event": "bounce" if event == "blocked" else event,
        "sg_event_id": uuid.uuid4().hex,
        "sg_message_id": f"{message}.filter0001.16648.5515E0B88.0",
        "timestamp": at,
        "email": "customer@example.com",
        "reason": "550 <customer@example.com> is unknown",
    }
    return about | ours | blocked | more


@pytest.fixture
def mailed(in_phase):
    """`mailed(phase)`: its mail was taken by SendGrid, as far as we have recorded it."""

    def make(phase, *, state=None, message="14c5.dfd"):
        pipeline = in_phase(phase)
        usual = {"committed": "committed", "rolled back": "rolled_back"}.get(phase, "committing")
        data = {"message_id": message} if message else {}
        Step.objects.filter(pipeline=pipeline, name="email").update(state=state or usual, data=data)
        return pipeline

    return make


def codes(pipeline):
    return [mark["code"] for mark in marks.standing_of(pipeline)]


LATE = {
    "bounce": "mail_bounced",
    "blocked": "mail_blocked",
    "dropped": "mail_dropped",
    "spamreport": "mail_reported_as_spam",
}


@pytest.mark.parametrize("has_arguments", [True, False])
@pytest.mark.parametrize("phase", ["committed", "rolled back"])
@pytest.mark.parametrize("event", LATE)
def test_a_mail_that_sendgrid_took_and_lost_later_is_marked_once(post_mail, mailed, event, phase, has_arguments):
    pipeline = mailed(phase)
    told = mail(event, pipeline if has_arguments else None)
    post_mail(told, told)
    post_mail(told)
    assert codes(pipeline) == [LATE[event]]
    row = Pipeline.objects.get(pk=pipeline)
    assert (row.attention, row.state) == (1, phase.replace(" ", "_"))
    event = Event.objects.get(pipeline=pipeline, type="attention")
    assert "is unknown" in event.data["detail"]
    assert "customer@example.com" not in json.dumps(event.data) + json.dumps(list(Inbox.objects.values_list("data")))


@pytest.mark.parametrize("id", [None, "", 17, ["x"]], ids=str)
def test_an_event_without_an_id_counts_once_by_what_it_says(post_mail, mailed, id):
    pipeline = mailed("committed")
    bounce = mail("bounce", pipeline, sg_event_id=id)
    post_mail(bounce, bounce)
    post_mail(bounce, mail("open", pipeline, sg_event_id=id))
    assert codes(pipeline) == ["mail_bounced"]
    assert Inbox.objects.filter(pipeline_id=pipeline).count() == 2


@pytest.mark.parametrize("at", [170, 170.0, "170"], ids=repr)
def test_an_event_s_time_counts_however_it_is_written(post_mail, mailed, at):
    pipeline = mailed("committed")
    post_mail(mail("delivered", pipeline, at=100), mail("bounce", pipeline, at=at))
    assert codes(pipeline) == ["mail_bounced"]


def test_a_mail_lost_while_other_steps_still_run_is_marked_all_the_same(post_mail, mailed):
    pipeline = mailed("committing", state="committed")
    post_mail(mail("dropped", pipeline))
    assert codes(pipeline) == ["mail_dropped"]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([("deferred", 1, "1"), ("delivered", 2, "1")], []),
        ([("delivered", 1, "1"), ("bounce", 2, "1")], ["mail_bounced"]),
        ([("bounce", 2, "1"), ("delivered", 1, "1")], ["mail_bounced"]),
        ([("bounce", 1, "1"), ("delivered", 2, "1")], []),
        ([("delivered", 2, "1"), ("bounce", 1, "1")], []),
        ([("dropped", 1, "1"), ("delivered", 5, "2")], []),
        ([("delivered", 1, "2"), ("dropped", 5, "1")], []),
        ([("dropped", 1, "1"), ("dropped", 2, "2")], ["mail_dropped", "mail_dropped"]),
        ([("spamreport", 1, "1"), ("delivered", 2, "1")], ["mail_reported_as_spam"]),
        ([("bounce", 1, "1"), ("delivered", 1, "1")], ["mail_bounced"]),
    ],
)
def test_the_last_word_by_sendgrids_time_counts(post_mail, mailed, events, expected):
    pipeline = mailed("committed")
    for event, at, sending in events:
        post_mail(mail(event, pipeline, at=at, sending=sending))
    assert codes(pipeline) == expected
    assert Pipeline.objects.get(pk=pipeline).attention == len(expected)


def test_an_arrival_takes_no_more_away_than_its_own_mark(post_mail, mailed, tell):
    pipeline = mailed("committed")
    tell("charge.dispute.created", {"id": "dp_1", "payment_intent": "pi_9"})
    post_mail(mail("bounce", pipeline, at=1))
    post_mail(mail("delivered", pipeline, at=2), mail("delivered", pipeline, at=3))
    assert codes(pipeline) == ["disputed"]
    assert Pipeline.objects.get(pk=pipeline).attention == 1
    assert Event.objects.filter(pipeline=pipeline, type="settled").count() == 1


def test_an_arrival_after_a_person_has_acknowledged_takes_nothing_away(post_mail, mailed, tell):
    pipeline = mailed("committed")
    post_mail(mail("bounce", pipeline, at=1))
    actions.acknowledge(pipeline, by="olga", reason="written to by post")
    tell("charge.dispute.created", {"id": "dp_1", "payment_intent": "pi_9"})
    post_mail(mail("delivered", pipeline, at=2))
    assert Pipeline.objects.get(pk=pipeline).attention == 1


@pytest.mark.parametrize("has_arguments", [True, False])
def test_news_before_our_own_record_of_the_sending_waits_for_it(post_mail, mailed, has_arguments):
    pipeline = mailed("committing", state="committing", message="")
    post_mail(mail("dropped", pipeline if has_arguments else None))
    assert codes(pipeline) == []
    settle_all()
    assert PendingNews.objects.count() == 1, "it is not forgotten"
    Step.objects.filter(pipeline=pipeline, name="email").update(state="committed", data={"message_id": "14c5.dfd"})
    settle_all()
    assert codes(pipeline) == ["mail_dropped"]
    assert not PendingNews.objects.exists()


def test_a_mail_of_another_application_is_forgotten_after_a_day(post_mail, db):
    post_mail(mail("dropped", message="theirs"))
    PendingNews.objects.update(made_at="2020-01-01T00:00:00Z")
    settle_all()
    assert not PendingNews.objects.exists()


def test_a_mail_to_the_operators_that_bounces_is_a_finding_and_no_mark(post_mail, mailed, settings):
    settings.OPERATOR_EMAIL = "operators@example.com"
    pipeline = mailed("committed")
    for _ in range(2):
        post_mail(mail("bounce", pipeline, step="operator"))
    assert codes(pipeline) == []
    assert Finding.objects.get().kind == "operators_mail"


def settle_all():
    PendingNews.objects.update(look_at="2020-01-01T00:00:00Z")
    settle_pending()


def test_the_messages_of_the_document_are_the_ones_that_are_played():
    marked = {line[0].strip("`") for line in MESSAGES if line[2] == "mark"}
    assert {"bounce (blocked)" if name == "blocked" else name for name in LATE} | {"undelivered", "failed"} == marked
