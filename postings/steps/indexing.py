"""Telling Google that a job's page is new or gone. Switched on by INDEXING_ENABLED.

Google takes 200 notifications a day, counted in the database before each is sent. What is over the quota waits
in the database for the next day (Pacific time). Deletions come first: a part of each day is theirs alone. An
unknown outcome is answered by the page's metadata: it tells when Google was told.
"""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

from pipeline.states import Verb
from pipeline.workflow import Run, Step, Unavailable
from postings.models import Posting, PostingState
from postings.providers import google_indexing
from postings.providers.google_indexing import Kind

_PACIFIC: Final = ZoneInfo("America/Los_Angeles")  # where Google's day begins
_CLOCK_SKEW: Final = timedelta(seconds=5)  # between Google's clock and the database's
_TAKE: Final = """
INSERT INTO postings_indexingday (day, told) VALUES (%(day)s, 1)
ON CONFLICT (day) DO UPDATE SET told = postings_indexingday.told + 1 WHERE postings_indexingday.told < %(limit)s
RETURNING told
"""


class IndexingStep(Step):
    """URL_UPDATED, once the posting is published; URL_DELETED if it was told and the pipeline turns back."""

    name = "indexing"
    label = "Tell the search engine"
    doing = "preparing the search engine's notice"
    tells = True
    provider = "google"

    @classmethod
    def is_enabled(cls) -> bool:
        """By one setting."""
        return bool(settings.INDEXING_ENABLED)

    def commit(self, run: Run) -> dict[str, str]:
        """The page is public by now, unless it waited for a day's quota and was taken down meanwhile."""
        if not Posting.objects.filter(pipeline_id=run.pipeline_id, state=PostingState.PUBLISHED).exists():
            return {}
        url = run.of("posting")["url"]
        _tell(run, url, "URL_UPDATED")
        return {"told": url}

    def rollback(self, run: Run) -> None:
        """What may have been told is taken back."""
        if run.may_have_made("publish", Verb.COMMIT):
            _tell(run, run.earlier("publish", Verb.COMMIT).params["url"], "URL_DELETED")


class UnindexStep(Step):
    """URL_DELETED, once the page answers 410. For postings whose page Google was told of."""

    name = "indexing"
    label = "Tell the search engine"
    doing = "preparing the search engine's notice"
    tells = True
    provider = "google"

    def commit(self, run: Run) -> None:
        """The posting is off the board by now."""
        _tell(run, run.input["url"], "URL_DELETED")


def _tell(run: Run, url: str, kind: Kind) -> None:
    """Once, within the quota; telling again after an unknown outcome only moves Google's time."""
    name = "publish" if kind == "URL_UPDATED" else "delete"
    if run.has_called(name, run.verb):
        call = run.earlier(name, run.verb)
        told_at = google_indexing.told_at(url, kind)
        if told_at is not None and told_at >= call.first_sent_at - _CLOCK_SKEW:
            return
        _count(run.now, kind)
        run.renew(name)
    else:
        _count(run.now, kind)
        run.call(name, {"url": url, "type": kind})
    google_indexing.publish(url, kind)


def _count(now: datetime, kind: Kind) -> None:
    """Take one of today's notifications; Unavailable until midnight in California when there is none left."""
    here = now.astimezone(_PACIFIC)
    reserved = settings.INDEXING_RESERVED_FOR_DELETIONS if kind == "URL_UPDATED" else 0
    limit = max(settings.INDEXING_DAILY_QUOTA - reserved, 0)
    with connection.cursor() as cursor:
        if limit:
            cursor.execute(_TAKE, {"day": here.date(), "limit": limit})
            if cursor.fetchone() is not None:
                return
    midnight = datetime.combine(here.date() + timedelta(days=1), datetime.min.time(), _PACIFIC)
    raise Unavailable("quota_used_up", f"{limit} notifications were sent today", until=midnight)
