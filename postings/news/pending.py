"""News that could not be settled when it came: before our own record, or with an id that only its provider knows."""

import logging
import uuid
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models.functions import Now

from pipeline.errors import Refused, StepFailure
from pipeline.models import Inbox
from pipeline.webhooks import as_uuid
from postings.models import PendingNews
from postings.news import whose
from postings.news.settling import MoneyNews, settle_message, settle_money, tell_of_nobodys
from postings.providers import stripe_money

log = logging.getLogger(__name__)

_BATCH: Final = 100  # of one run
_UNTIL_A_PERSON: Final = timedelta(hours=1)  # while Stripe cannot be asked whose the money is
_UNTIL_FORGOTTEN: Final = timedelta(days=1)  # a mail that nobody has recorded by then is another application's
_UNTIL_TOLD: Final = timedelta(days=365)  # a step's mail whose record is still to come
_LOOK_EVERY: Final = timedelta(seconds=30)  # at one piece of news


def settle_pending() -> None:
    """The chore. Raises the last of Stripe's failures, after the others were seen to."""
    failure: StepFailure | None = None
    due = PendingNews.objects.filter(look_at__lte=Now()).order_by("look_at")
    for news in due[:_BATCH]:
        try:
            _settle_stripe(news) if news.provider == "stripe" else _settle_message(news)
        except StepFailure as failed:
            failure = failed
    if failure is not None:
        raise failure


def _settle_stripe(pending: PendingNews) -> None:
    """Ask Stripe whose charge it is; no transaction is open meanwhile."""
    news = MoneyNews(**pending.news)
    try:
        pipeline = _owner(news)
    except StepFailure:
        if not _put_off(pending, _UNTIL_A_PERSON):
            _end(pending, news, None)
        raise
    _end(pending, news, pipeline)


def _owner(news: MoneyNews) -> uuid.UUID | None:
    try:
        mark, intent = stripe_money.whose(news.charge, news.intent)
    except Refused:  # Stripe does not know it either
        return None
    return as_uuid(mark) or whose.of_intent(intent)


def _end(pending: PendingNews, news: MoneyNews, pipeline: uuid.UUID | None) -> None:
    with transaction.atomic():
        if PendingNews.objects.filter(pk=pending.pk).delete()[0] and not settle_money(pipeline, news):
            tell_of_nobodys(news)


def _settle_message(pending: PendingNews) -> None:
    with transaction.atomic():
        inbox = Inbox.objects.filter(pk=pending.inbox_id).first()
        if inbox is not None and not _is_settled(pending, inbox):
            if _put_off(pending, _UNTIL_FORGOTTEN if inbox.pipeline_id is None else _UNTIL_TOLD):
                return
            log.warning("%s is given up: nobody has recorded what it is about", pending)
        PendingNews.objects.filter(pk=pending.pk).delete()


def _is_settled(pending: PendingNews, inbox: Inbox) -> bool:
    if inbox.pipeline_id is None:
        sent_by = whose.step_of_message(str(pending.news.get("message", "")))
        if sent_by is None:
            return False
        inbox.pipeline_id, inbox.data = sent_by.pipeline_id, inbox.data | {"step": sent_by.name}
        inbox.save(update_fields=["pipeline_id", "data"])
    return settle_message(inbox.pipeline_id, inbox.data["step"], inbox.provider) is not False


def _put_off(pending: PendingNews, longest: timedelta) -> bool:
    """Look at it again later; False when it has waited long enough."""
    rows = PendingNews.objects.filter(pk=pending.pk, made_at__gt=Now() - longest)
    return bool(rows.update(look_at=Now() + _LOOK_EVERY))
