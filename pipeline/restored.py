"""After a backup of the database was restored: unfinished pipelines learn from the providers how far they had come.

The rows are older than the world. A pipeline whose commit has begun outside (its payment is captured) goes on to
its end, however long its deadline has passed. The others end as their deadlines say, and undo what their rows do not
know of.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Min
from django.utils.module_loading import import_string

from pipeline import marks
from pipeline.conf import conf
from pipeline.models import Pipeline
from pipeline.reconciliation import Reconciler
from pipeline.states import TERMINAL
from pipeline.verification.facts import EventFacts

ACTION: Final = "restored from a backup"  # as it stands in the history


@dataclass(frozen=True, slots=True)
class Resumed:
    """One unfinished pipeline; `is_final`: its commit had begun, so it goes on even past its deadline."""

    pipeline: Pipeline
    is_final: bool


def resume(*, by: str, dry_run: bool = False) -> Iterator[Resumed]:
    """Make every unfinished pipeline due, and those go on whose commit had begun. Safe to repeat.

    Raises the providers' failures before anything is changed. Nobody may run jobs meanwhile.
    """
    unfinished = Pipeline.objects.exclude(state__in=TERMINAL)
    finals = _finals(unfinished.aggregate(at=Min("created_at"))["at"])
    for pipeline in unfinished.order_by("created_at").iterator():
        is_final = str(pipeline.pk) in finals
        note = {"action": ACTION, "by": by, "reason": "its commit had begun" if is_final else "nothing final is known"}
        if dry_run or marks.restored(pipeline.pk, note, is_final=is_final, deadline=conf().STAGING_DEADLINE):
            yield Resumed(pipeline, is_final)


def times_restored(events: Iterable[EventFacts]) -> int:
    """How often the pipeline was restored, by its history: each time, mails since the backup may be sent again."""
    return sum(event.data.get("action") == ACTION for event in events)


def _finals(since: datetime | None) -> set[str]:
    if since is None:
        return set()
    reconcilers: list[Reconciler] = [import_string(path)() for path in conf().RECONCILERS]
    return {mark for reconciler in reconcilers for mark in reconciler.finals(since)}
