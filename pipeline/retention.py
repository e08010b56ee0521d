"""Personal data has an end: what ended pipelines hold is erased after PIPELINE["RETENTION"], or when somebody asks.

What stays of a pipeline is its row: key, fingerprint, id, end state, times, error and result, which hold nothing
personal. So a submission that is repeated years later still finds the pipeline that it made.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from django.db import transaction
from django.db.models import Q
from django.utils.module_loading import import_string

from pipeline import marks
from pipeline.addresses import BadAddress, normalised
from pipeline.conf import conf
from pipeline.db import Statement
from pipeline.errors import IllegalAction
from pipeline.models import Pipeline
from pipeline.statements import TYPES
from pipeline.states import OPEN, PipelineState

# Few rows at a time, and none that somebody else has: nobody waits for this. Events written between this
# statement's snapshot and its lock stay; of an ended pipeline they say that it was marked, and nothing personal.
_ERASE: Final = """
steps AS (DELETE FROM pipeline_step s USING due WHERE s.pipeline_id = due.id),
events AS (DELETE FROM pipeline_event e USING due WHERE e.pipeline_id = due.id),
attached AS (DELETE FROM pipeline_attachment a USING due WHERE a.pipeline_id = due.id)
UPDATE pipeline_pipeline p
SET input = '{}', secrets = '{}', client = '', user_id = NULL, reaped_at = now()
FROM due WHERE p.id = due.id
RETURNING p.id"""

REAP: Final = Statement(
    f"""
WITH due AS (
    SELECT id FROM pipeline_pipeline
    WHERE finished_at <= now() - %(retention)s AND reaped_at IS NULL
    ORDER BY finished_at LIMIT %(batch)s FOR NO KEY UPDATE SKIP LOCKED
),{_ERASE}""",
    TYPES | {"interval": "retention"},
)

ERASE_ONE: Final = Statement(
    f"""
WITH due AS (
    SELECT id FROM pipeline_pipeline
    WHERE id = %(pipeline)s AND finished_at IS NOT NULL AND reaped_at IS NULL FOR NO KEY UPDATE
),{_ERASE}""",
    TYPES,
)

# A provider repeats an event for days, not for months: then its id need not be known any more.
FORGET_EVENTS: Final = Statement(
    """
DELETE FROM pipeline_inbox WHERE id IN (
    SELECT id FROM pipeline_inbox WHERE received_at <= now() - %(retention)s
    ORDER BY received_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING id""",
    TYPES | {"interval": "retention"},
)

_PAGE: Final = 1000  # inputs that are searched by one statement


def reap() -> dict[str, int]:
    """Erase everything whose time is over, in batches with a pause between: how many rows of what.

    Nothing when PIPELINE["RETENTION"] is None or zero. Any number of processes may run it at once.
    """
    if not conf().RETENTION:
        return {}
    counts = {"pipelines": _in_batches(REAP), "webhook events": _in_batches(FORGET_EVENTS)}
    for name in conf().ALSO_REAP:
        counts |= import_string(name)(conf().RETENTION)
    return counts


def erase(pipeline: uuid.UUID, *, by: str, reason: str) -> bool:
    """Erase one ended pipeline's personal data now; False when that was done before.

    IllegalAction while it is unfinished, or while something of it that others see needs the data.
    """
    with transaction.atomic():
        row = Pipeline.objects.select_for_update(no_key=True).filter(pk=pipeline).first()
        if row is None:
            raise IllegalAction(f"There is no pipeline {pipeline}.")
        if not row.is_terminal:
            raise IllegalAction(_unfinished(row))
        for name in conf().ALSO_ERASE:
            import_string(name)(pipeline)
        if row.reaped_at is not None:
            return False
        ERASE_ONE.rows({"pipeline": pipeline})
        marks.note_of_ended(pipeline, {"action": "erase", "by": by, "reason": reason})
    return True


def holding(address: str) -> list[uuid.UUID]:
    """The pipelines whose input holds this email address, or whose user has it. Reads the whole table, in pages.

    An international domain may be written either way.
    """
    address = address.strip()
    with suppress(BadAddress):
        address = normalised(address)
    found = list(_submitted_with(address.casefold()))
    owned = Pipeline.objects.filter(user__email__iexact=address, reaped_at=None)
    also = [each for name in conf().ALSO_HOLDING for each in import_string(name)(address)]
    return list(dict.fromkeys([*found, *owned.values_list("pk", flat=True), *also]))


def _in_batches(statement: Statement) -> int:
    settings, count = conf(), 0
    while True:
        rows = statement.rows({"retention": settings.RETENTION, "batch": settings.REAP_BATCH})
        count += len(rows)
        if len(rows) < settings.REAP_BATCH:
            return count
        time.sleep(settings.REAP_PAUSE.total_seconds())


def _unfinished(row: Pipeline) -> str:
    state = PipelineState(row.state).label.lower()
    if row.state in OPEN:
        return f"Pipeline {row.pk} is {state}: cancel it first, and erase its data once it has rolled back."
    return f"Pipeline {row.pk} is {state} and decided: wait until it has ended, then erase its data."


def _submitted_with(address: str) -> Iterator[uuid.UUID]:
    last: uuid.UUID | None = None
    while True:
        later = Q() if last is None else Q(pk__gt=last)
        rows = list(Pipeline.objects.filter(later, reaped_at=None).order_by("pk").values_list("pk", "input")[:_PAGE])
        yield from (key for key, value in rows if _has(value, lambda text: text.strip().casefold() == address))
        if len(rows) < _PAGE:
            return
        last = rows[-1][0]


def _has(value: Any, is_it: Callable[[str], bool]) -> bool:
    """Whether any text within a JSON value is the one that is looked for."""
    if isinstance(value, dict):
        return any(_has(part, is_it) for part in value.values())
    if isinstance(value, list):
        return any(_has(part, is_it) for part in value)
    return isinstance(value, str) and is_it(value)
