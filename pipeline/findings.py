"""The only writer of Finding: found, listed, repaired, gone; acknowledged and resolved by a person."""

import logging
import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from pipeline import db, marks
from pipeline.errors import IllegalAction
from pipeline.models import Finding, FindingState, Pipeline
from pipeline.run import Call

log = logging.getLogger(__name__)

_BY = "reconcile"  # who has done it, in a pipeline's history
_CLOSED_BY_ITSELF = (FindingState.GONE, FindingState.REPAIRED)


class Repair:
    """What a reconciler removes a thing by: calls whose keys are stored before they are sent."""

    def __init__(self, finding: Finding) -> None:
        self._finding = finding

    def call(self, name: str, params: Mapping[str, Any] | None = None) -> Call:
        """The call of that name. Each run has a generation of its own: it has just read that the last did nothing."""
        with transaction.atomic():
            finding = Finding.objects.select_for_update().get(pk=self._finding.pk)
            generation = finding.calls.get(name, {}).get("generation", 0) + 1
            key = f"reconcile:{finding.pk}:{name}:{generation}"
            now = db.now()
            entry = {"key": key, "params": dict(params or {}), "generation": generation, "sent_at": now.isoformat()}
            finding.calls = finding.calls | {name: entry}
            finding.save(update_fields=["calls"])
        return Call(key, entry["params"], generation, now, is_new=True)


def found(
    reconciler: str, kind: str, object_id: str, pipeline: uuid.UUID | None, made_at: datetime, why: str
) -> Finding:
    """The thing's finding, open if it is new, closed without a person, or not what a person resolved any more."""
    given = {"reconciler": reconciler, "pipeline_id": pipeline, "made_at": made_at, "why": why}
    made, is_new = Finding.objects.get_or_create(
        kind=kind, object_id=object_id, defaults=given | {"state": FindingState.REPAIRING}
    )
    if not is_new and (made.state in _CLOSED_BY_ITSELF or _is_another(made, made_at)):
        Finding.objects.filter(pk=made.pk).update(**given, state=FindingState.REPAIRING, closed_at=None, by="", note="")
        made.refresh_from_db()
    return made


def _is_another(finding: Finding, made_at: datetime) -> bool:
    """Whether a person resolved something else: a thing that was made anew since, or a pipeline that ended since."""
    if finding.state != FindingState.RESOLVED:
        return False
    if finding.made_at < made_at:
        return True
    ended_since = Pipeline.objects.filter(finished_at__gt=finding.closed_at)
    return finding.pipeline_id is not None and ended_since.filter(pk=finding.pipeline_id).exists()


def list_for_a_person(finding: Finding, why: str = "") -> None:
    """Open it for a person, and tell one; nothing when that was done before."""
    with transaction.atomic():
        row = Finding.objects.select_for_update().get(pk=finding.pk)
        if row.state in (FindingState.OPEN, FindingState.ACKNOWLEDGED):
            return
        row.state, row.why = FindingState.OPEN, why or row.why
        row.save(update_fields=["state", "why"])
        if row.pipeline_id is not None:
            note = {"code": "found_outside", "by": _BY, "detail": f"{row}: {row.why}"}
            marks.attention(row.pipeline_id, note)
    log.error("%s of pipeline %s: %s See the findings in the admin.", row, row.pipeline_id, row.why)


def begin_repair(finding: Finding) -> None:
    """A call may be sent from here on; a finding that a person was to decide is safe to remove by now."""
    Finding.objects.filter(pk=finding.pk).update(state=FindingState.REPAIRING)


def end_repair(finding: Finding) -> None:
    """It is removed; its pipeline's history says so, once."""
    with transaction.atomic():
        repairing = Finding.objects.filter(pk=finding.pk, state=FindingState.REPAIRING)
        if not repairing.update(state=FindingState.REPAIRED, closed_at=Now()):
            return
        if finding.pipeline_id is not None:
            note = {"action": "remove", "by": _BY, "reason": f"{finding}: {finding.why}"}
            marks.note_of_ended(finding.pipeline_id, note)


def close_gone(reconciler: str, since: datetime | None, standing: Collection[tuple[str, str]]) -> None:
    """Close what this run has looked for and not found standing; a repair whose worker died has done its work."""
    rows = Finding.objects.filter(reconciler=reconciler, closed_at=None)
    for finding in rows.filter(made_at__gte=since) if since else rows:
        if (finding.kind, finding.object_id) in standing:
            continue
        if finding.calls and finding.state == FindingState.REPAIRING:
            end_repair(finding)
        else:
            Finding.objects.filter(pk=finding.pk, closed_at=None).update(state=FindingState.GONE, closed_at=Now())


def acknowledge(finding: int, *, by: str, note: str) -> None:
    """A person is at it. IllegalAction when it is closed."""
    _decide(finding, FindingState.ACKNOWLEDGED, by=by, note=note)


def resolve(finding: int, *, by: str, note: str) -> None:
    """A person has decided: it is closed, and not raised again. IllegalAction when a person has closed it already.

    What is gone, or was repaired, may still be resolved: `verify` counts what has happened, whatever is left of it.
    """
    _decide(finding, FindingState.RESOLVED, by=by, note=note)


def _decide(pk: int, state: FindingState, *, by: str, note: str) -> None:
    with transaction.atomic():
        row = Finding.objects.select_for_update().filter(pk=pk).first()
        may_be_closed = state == FindingState.RESOLVED and row is not None and row.state in _CLOSED_BY_ITSELF
        if row is None or not (row.is_open or may_be_closed):
            raise IllegalAction("This finding is closed: look at the pipeline's history for what became of it.")
        if row.state == FindingState.REPAIRING:
            raise IllegalAction("This finding is being repaired: look at it again after the next run.")
        closed_at = Now() if state == FindingState.RESOLVED else None
        Finding.objects.filter(pk=pk).update(state=state, by=by, note=note, closed_at=closed_at)
        if row.pipeline_id is not None:
            about = {"action": state.value, "by": by, "reason": f"{row}: {note}"}
            marks.note_of_ended(row.pipeline_id, about)
