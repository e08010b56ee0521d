"""Acting on news: each event is stored once, in one transaction with its action.

The pipeline's row is locked first, so that a step's own record comes before the news or after it, never beside it.
"""

import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from pipeline import actions, findings, marks
from pipeline.logs import redact
from pipeline.models import Inbox, Pipeline, Step
from pipeline.states import STEP_TERMINAL, TERMINAL
from pipeline.webhooks import as_uuid, number_at, part_at, storable, text_at
from postings.endings import withdrawals_of
from postings.models import PendingNews
from postings.news import whose
from postings.news.last_word import FINAL, Word, complaint, last_word
from postings.news.meaning import MESSAGE_CODES, PHASES, Act, Phase, Row, kind_of, mail_kind, message, money
from postings.operators import MAILS_STEP, UNREACHABLE
from postings.workflow import WithdrawPosting

log = logging.getLogger(__name__)

FINDER: Final = "postings.news"  # who has found a thing that no reconciler lists
_MAILS: Final = frozenset({"processed", "deferred", "delivered", "bounce", "dropped", "open", "click", "spamreport"})
_ARRIVES: Final = MESSAGE_CODES - {"mail_reported_as_spam"}  # what an arrival settles
_REASON: Final = 300  # characters of a provider's reason


@dataclass(frozen=True, slots=True)
class MoneyNews:
    """A piece of news by the table's name; `about` tells two of one kind apart, `charge` and `intent` whose it is."""

    kind: str
    about: str
    charge: str
    intent: str
    at: int  # seconds since the epoch, by Stripe's clock


# --- money --------------------------------------------------------------------------------------


@transaction.atomic
def take_stripe(event: Mapping[str, Any]) -> None:
    """One event of Stripe's."""
    kind, about = text_at(event, "type"), part_at(event, "data", "object")
    news = MoneyNews(
        kind=kind_of(kind, about),
        about=_about(kind, about),
        charge=whose.charge_of(about),
        intent=whose.intent_of(about),
        at=number_at(event, "created"),
    )
    pipeline = whose.of_money(about)
    inbox = _store("stripe", text_at(event, "id"), pipeline, kind, {})
    if inbox is not None and not settle_money(pipeline, news) and _is_worth_asking(news, about):
        PendingNews.objects.create(inbox_id=inbox.pk, provider="stripe", news=asdict(news))


def _is_worth_asking(news: MoneyNews, about: Mapping[str, Any]) -> bool:
    """Whether it may still be ours, or is for a person. A charge or an intent of ours would carry our mark."""
    means = money(news.kind, gives_back=False)
    is_marked = text_at(about, "object") in ("charge", "payment_intent")
    return means.act(Phase.NOBODYS) == Act.MARK or (bool(means.code) and not is_marked)


def settle_money(pipeline: uuid.UUID | None, news: MoneyNews) -> bool:
    """Do what the table says. False when there is no such pipeline."""
    row = _locked(pipeline)
    if row is None:
        return False
    phase = PHASES[row.state]
    means = money(news.kind, gives_back=gives_back(row.workflow))
    act = means.act(phase)
    if act == Act.MARK and is_ours(row, means.code):
        act = Act.HINT
    if act == Act.MARK:
        _mark(row, {"code": means.code, "by": "stripe", "about": news.about, "detail": _sentence(means)})
    elif act == Act.HINT:
        _hint(row, "stripe")
    return True


def tell_of_nobodys(news: MoneyNews) -> None:
    """Make a finding of money news that belongs to no pipeline here: a person resolves it."""
    means = money(news.kind, gives_back=False)
    if means.act(Phase.NOBODYS) != Act.MARK:
        return
    why = (
        f"{_sentence(means)} No pipeline is known for it: look it up in Stripe's dashboard "
        f"(charge {news.charge or 'unknown'}, intent {news.intent or 'unknown'})."
    )
    made_at = datetime.fromtimestamp(min(news.at, 2**32), UTC)
    findings.list_for_a_person(findings.found(FINDER, means.code, news.about, None, made_at, why))


def gives_back(workflow: str) -> bool:
    """Whether that workflow's pipelines refund, and do not take money."""
    return workflow == WithdrawPosting.name


def is_ours(row: Pipeline, code: str) -> bool:
    """Whether we did it ourselves, so that it is no news."""
    if code == "refunded_at_stripe":
        return withdrawals_of(row.pk).exists()
    if code == "captured_after_rollback":
        return Step.objects.filter(pipeline_id=row.pk, kind="payment", calls__has_key="rollback.refund").exists()
    return False


def _about(event: str, about: Mapping[str, Any]) -> str:
    """The refund or the dispute itself; of a charge's refunds the sum, as each is news; of a capture its intent."""
    if event == "charge.refunded":
        return f"{text_at(about, 'id')}:{number_at(about, 'amount_refunded')}"
    if event in ("charge.captured", "charge.succeeded"):
        return whose.intent_of(about) or text_at(about, "id")
    return text_at(about, "id")


# --- mails and SMS -------------------------------------------------------------------------------


@transaction.atomic
def take_sendgrid(event: Mapping[str, Any]) -> None:
    """One event of SendGrid's, with our arguments or without."""
    raw, sent_as = text_at(event, "event"), text_at(event, "sg_message_id")
    pipeline, step = as_uuid(event.get("pipeline_id")), text_at(event, "step", limit=60)
    if raw not in _MAILS or not (pipeline or sent_as or step == MAILS_STEP):
        return
    if pipeline is None and (sent_by := whose.step_of_message(sent_as)) is not None:
        pipeline, step = sent_by.pipeline_id, sent_by.name
    reason = text_at(event, "reason", limit=_REASON) or text_at(event, "response", limit=_REASON)
    data = {
        "step": step,
        "verb": text_at(event, "verb", limit=60),
        "sending": text_at(event, "sending", limit=60) or whose.message_of(sent_as),
        "is": mail_kind(event),
        "at": number_at(event, "timestamp"),
        "reason": redact(reason),
    }
    event_id = text_at(event, "sg_event_id") or _digest(raw, sent_as, str(pipeline), data)
    inbox = _store("sendgrid", event_id, pipeline, raw, data)
    if inbox is None:
        return
    if step == MAILS_STEP:
        _tell_of_operators_mail(data)
    elif pipeline is not None:
        _settle_or_wait(inbox, pipeline, step)
    elif data["is"] in FINAL and sent_as:
        PendingNews.objects.create(inbox_id=inbox.pk, provider="sendgrid", news={"message": sent_as})


def _digest(*told: object) -> str:
    """An id for an event that has none: delivered again it is the same."""
    return sha256(json.dumps(told).encode()).hexdigest()


@transaction.atomic
def take_twilio(pipeline: uuid.UUID, sid: str, status: str) -> None:
    """One status of an SMS. Twilio gives no time: an arrival is final, before or after any other status."""
    sid, status = storable(sid, 60), storable(status, 60)
    step = Step.objects.filter(pipeline_id=pipeline, kind="sms").values_list("name", flat=True).first() or "sms"
    data = {"step": step, "sending": sid, "is": status, "at": int(status == "delivered"), "reason": ""}
    inbox = _store("twilio", f"{sid}:{status}", pipeline, status, data)
    if inbox is not None:
        _settle_or_wait(inbox, pipeline, step)


def _settle_or_wait(inbox: Inbox, pipeline: uuid.UUID, step: str) -> None:
    """Settle it; an event that comes before the step's own record is settled once that is written."""
    if settle_message(pipeline, step, inbox.provider) is False and inbox.data["is"] in FINAL:
        PendingNews.objects.create(inbox_id=inbox.pk, provider=inbox.provider, news={"step": step})


def settle_message(pipeline: uuid.UUID, step: str, by: str) -> bool | None:
    """Act on the step's last event. False while the step has not sent; None when there is no such pipeline."""
    row = _locked(pipeline)
    if row is None:
        return None
    if not _has_told(row, step):
        _hint(row, by)
        return False
    words = _words(pipeline, step, by)
    for word in (last_word(words), complaint(words)):
        if word is None:
            continue
        means = message(word.kind)
        if means.act(PHASES[row.state]) == Act.SETTLE:
            marks.settle(pipeline, _ARRIVES, f"{step}:", {"by": by, "step": step})
        elif means.act(PHASES[row.state]) == Act.MARK:
            told = {"code": means.code, "by": by, "about": f"{step}:{word.sending}", "step": step}
            _mark(row, told | {"detail": f"{_sentence(means)} {word.reason}".strip()})
    if row.state not in TERMINAL and not words:
        _hint(row, by)
    return True


def _has_told(row: Pipeline, step: str) -> bool:
    state = Step.objects.filter(pipeline_id=row.pk, name=step).values_list("state", flat=True).first()
    return row.state in TERMINAL if state is None else state in STEP_TERMINAL


def _words(pipeline: uuid.UUID, step: str, by: str) -> list[Word]:
    rows = Inbox.objects.filter(pipeline_id=pipeline, provider=by, data__step=step, data__is__in=sorted(FINAL))
    return [word_of(data) for data in rows.values_list("data", flat=True)]


def word_of(data: Mapping[str, Any]) -> Word:
    """A stored event's word."""
    reason = text_at(data, "reason", limit=_REASON)
    return Word(text_at(data, "is"), text_at(data, "sending"), number_at(data, "at"), reason)


def _tell_of_operators_mail(data: Mapping[str, Any]) -> None:
    """A mark would be mailed to the same address, and bounce, and be marked again: a finding is not."""
    if message(data["is"]).code:
        why = (
            f"A mail to the operators did not arrive ({data['is']}): set OPERATOR_EMAIL to an address that takes mail."
        )
        made_at = datetime.fromtimestamp(min(data["at"], 2**32), UTC)
        found = findings.found(FINDER, UNREACHABLE, storable(settings.OPERATOR_EMAIL), None, made_at, why)
        findings.list_for_a_person(found)


# --- both ----------------------------------------------------------------------------------------


def _store(
    provider: str, event_id: str, pipeline: uuid.UUID | None, kind: str, data: Mapping[str, Any]
) -> Inbox | None:
    """Store the event; None when it was delivered before."""
    made, is_new = Inbox.objects.get_or_create(
        provider=provider,
        event_id=event_id,
        defaults={"pipeline_id": pipeline, "kind": kind[:60], "data": dict(data)},
    )
    return made if is_new else None


def _locked(pipeline: uuid.UUID | None) -> Pipeline | None:
    rows = Pipeline.objects.select_for_update(no_key=True).only("pk", "state", "workflow")
    return rows.filter(pk=pipeline).first() if pipeline is not None else None


def _hint(row: Pipeline, by: str) -> None:
    if actions.hint(row.pk, by=by):
        _publish_after_commit(row.pk)


def _mark(row: Pipeline, note: Mapping[str, str]) -> None:
    if marks.attention_once(row.pk, note) and row.state not in TERMINAL:
        _publish_after_commit(row.pk)


def _publish_after_commit(pipeline: uuid.UUID) -> None:
    transaction.on_commit(lambda: actions.publish_due(pipeline), robust=True)


def _sentence(row: Row) -> str:
    return f"{row.means[:1].upper()}{row.means[1:]}. To do: {row.cure}."
