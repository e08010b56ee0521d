"""The ceiling of cards that one address may try in an hour without paying. It is made against tests of stolen cards.

Submissions are refused at the ceiling. Many may come at once before the first card is refused, so each payment counts
again before it asks the bank, one payment of an address after the other.
"""

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from pipeline.api.acceptance import TooManyRefused
from pipeline.models import Pipeline
from pipeline.states import PipelineState, StepState
from pipeline.workflow import Refused, Run, Unavailable
from postings.providers.stripe import CARD_CODES

HOUR: Final = timedelta(hours=1)
SOON: Final = timedelta(seconds=1)
_MARK: Final = "card_asked"  # in the payment step's data: its bank is asked, or was

_BACKWARD: Final = (PipelineState.ROLLING_BACK, PipelineState.ROLLED_BACK)


def check(client: str) -> None:
    """Raise TooManyRefused for an address at its ceiling."""
    ceiling = settings.MAX_REFUSED_CARDS_PER_HOUR
    if not ceiling or not client:
        return
    newest = _failed(client).order_by("-created_at").values_list("created_at", flat=True)
    if at := list(newest[ceiling - 1 : ceiling]):
        wait = at[0] + HOUR - timezone.now()
        raise TooManyRefused("Too many cards were refused: wait before you try another one.", wait)


def begin(run: Run) -> None:
    """Record that the bank is about to be asked.

    Refused at the ceiling; Unavailable while those under way could reach it: the job is tried again in a second.
    """
    ceiling = settings.MAX_REFUSED_CARDS_PER_HOUR
    if not ceiling or _MARK in run.data:
        return
    client = Pipeline.objects.values_list("client", flat=True).get(pk=run.pipeline_id)
    if not client:
        return
    with transaction.atomic():
        _queue_up(client)
        failed = _failed(client).count()
        if failed >= ceiling:
            raise Refused(
                "too_many_refused",
                f"{failed} cards of this address were tried in an hour",
                title="Too many cards were refused",
                message="Too many cards were refused in the last hour. Nothing was charged: please try again later.",
            )
        if failed + _under_way(client).exclude(pk=run.pipeline_id).count() >= ceiling:
            raise Unavailable("other_cards_tried", "others of its address are asked", retry_after=SOON, outage=False)
        run.record(**{_MARK: True})


def _asked(client: str) -> QuerySet[Pipeline]:
    """The address's pipelines of the last hour whose bank was asked."""
    recent = Pipeline.objects.filter(client=client, created_at__gt=timezone.now() - HOUR)
    return recent.filter(steps__name="payment", steps__data__has_key=_MARK)


def _failed(client: str) -> QuerySet[Pipeline]:
    """Those that turned back for the card, and those cancelled: a tester of cards needs the bank's answer alone."""
    for_the_card = Q(error__step="payment", error__code__in=sorted(CARD_CODES))
    return _asked(client).filter(Q(is_cancelled=True) | for_the_card, state__in=_BACKWARD)


def _under_way(client: str) -> QuerySet[Pipeline]:
    """Those whose answer is not known yet. One that waits for its cardholder has an answer."""
    return _asked(client).filter(steps__name="payment", steps__state=StepState.STAGING, state=PipelineState.STAGING)


def _queue_up(client: str) -> None:
    """One address's payments wait for each other here, for as long as counting takes, so that the count is exact."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [client])
