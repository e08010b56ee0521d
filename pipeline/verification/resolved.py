"""Violations that a person has resolved: the finding of everything that makes one carries a name and a note.

Nothing that happens by itself resolves: a finding that was repaired, or is gone, is as good as none here. Neither
does what was said before the pipeline ended: how it would end was not known then.
"""

from collections.abc import Iterable, Iterator

from django.db.models import Exists, OuterRef, Q

from pipeline.models import Finding, FindingState, Pipeline
from pipeline.verification.violation import Violation


def with_resolutions(violations: Iterable[Violation]) -> Iterator[tuple[Violation, list[Finding]]]:
    """Each violation with the findings that resolve it; none where one thing is still without a decision."""
    for violation in violations:
        found = _resolved(violation.objects)
        is_whole = {finding.object_id for finding in found} == set(violation.objects)
        yield violation, found if is_whole else []


def _resolved(objects: tuple[str, ...]) -> list[Finding]:
    if not objects:
        return []
    of_it = Pipeline.objects.filter(pk=OuterRef("pipeline_id"))
    unended = of_it.filter(Q(finished_at=None) | Q(finished_at__gt=OuterRef("closed_at")))
    rows = Finding.objects.filter(state=FindingState.RESOLVED, object_id__in=objects)
    return list(rows.exclude(Exists(unended)).order_by("pk"))
