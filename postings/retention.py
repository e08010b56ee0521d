"""Personal data in the shop's own table: the buyer, the address to apply to, and the text of descriptions."""

import uuid
from datetime import timedelta
from typing import Final

from django.db.models.functions import Now

from pipeline.errors import IllegalAction
from postings.models import Posting, PostingState

_ENDED: Final = [PostingState.WITHDRAWN, PostingState.EXPIRED]
_BATCH: Final = 500


def reap(retention: timedelta) -> dict[str, int]:
    """Erase it of postings that ended longer ago. Their pages go on answering 410."""
    ended = Posting.objects.filter(state__in=_ENDED, is_erased=False, ended_at__lte=Now() - retention)
    count = 0
    while ids := list(ended.order_by("ended_at").values_list("pk", flat=True)[:_BATCH]):
        count += _erase(ids)
    return {"ended postings": count}


def erase(pipeline: uuid.UUID) -> None:
    """Erase that of the posting that the pipeline made. IllegalAction while it is public."""
    posting = Posting.objects.filter(pipeline_id=pipeline).first()
    if posting is None:
        return
    if posting.state == PostingState.PUBLISHED:
        raise IllegalAction(
            f"Pipeline {pipeline} has published {posting}, which is paid for until {posting.expires_at:%d %B %Y}: "
            "withdraw it in the admin first, or wait until then."
        )
    _erase([posting.pk])


def holding(address: str) -> list[uuid.UUID]:
    """The pipelines whose postings name this buyer, also those that are reaped themselves."""
    bought = Posting.objects.filter(sale__contact_email__iexact=address)
    return list(bought.values_list("pipeline_id", flat=True))


def _erase(ids: list[uuid.UUID]) -> int:
    ended = Posting.objects.filter(pk__in=ids, state__in=_ENDED)
    return ended.update(apply_email="", description="", description_html="", sale={}, is_erased=True)
