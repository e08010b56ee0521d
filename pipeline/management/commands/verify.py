"""`manage.py verify`: does the guarantee hold? A line for each violation, and exit status 1. Reads, never writes.

What a person has resolved is listed with name and note, and no reason for the status.
"""

import json
import sys
import uuid
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import NoReverseMatch, reverse

from pipeline.errors import StepFailure
from pipeline.management.since import add_since
from pipeline.models import Finding
from pipeline.verification import Scope, Violation
from pipeline.verification.resolved import with_resolutions
from pipeline.verification.verify import found

Told = Iterable[tuple[Violation, Sequence[Finding]]]


class Command(BaseCommand):
    """Checks every invariant that can be seen in the database and at the providers."""

    help = "Check the invariants of docs/guarantees.md: the database against itself and against the providers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Options."""
        parser.add_argument("--settled", action="store_true", help="every pipeline is to have ended")
        add_since(parser, "pipelines")
        parser.add_argument("--pipeline", type=uuid.UUID, metavar="ID", help="only this one")
        parser.add_argument("--strict", action="store_true", help="what a person has resolved counts, too: for tests")
        parser.add_argument("--json", action="store_true", help="one JSON document, for scripts")

    def handle(self, *, settled: bool, since: datetime | None, pipeline: uuid.UUID | None, **options: Any) -> None:
        """Run; exit status 1 on any violation that nobody has resolved, 2 when a provider cannot be read."""
        scope = Scope(settled, since, pipeline)
        told = ((each, []) for each in found(scope)) if options["strict"] else with_resolutions(found(scope))
        try:
            count = self._tell_as_json(told) if options["json"] else self._tell(told)
        except StepFailure as failure:
            raise CommandError(
                f"a provider cannot be read, so that nothing is known of the rest: {failure}", returncode=2
            ) from failure
        if count:
            sys.exit(1)

    def _tell(self, told: Told) -> int:
        count = resolved = 0
        for violation, resolutions in told:
            count, resolved = (count, resolved + 1) if resolutions else (count + 1, resolved)
            self.stdout.write(f"{_said(resolutions)}: {as_text(violation)}" if resolutions else as_text(violation))
        and_resolved = f", {resolved} resolved" if resolved else ""
        self.stdout.write((f"{count} violations" if count else "no violations") + and_resolved)
        return count

    def _tell_as_json(self, told: Told) -> int:
        violations: list[dict[str, Any]] = []
        resolved: list[dict[str, Any]] = []
        for violation, resolutions in told:
            by = [{"object": each.object_id, "by": each.by, "note": each.note} for each in resolutions]
            if by:
                resolved.append(as_dict(violation) | {"resolved": by})
            else:
                violations.append(as_dict(violation))
        self.stdout.write(json.dumps({"violations": violations, "resolved": resolved}, indent=2))
        return len(violations)


def _said(resolutions: Sequence[Finding]) -> str:
    """Who has resolved it, and how."""
    return "resolved by " + "; ".join(dict.fromkeys(f"{each.by}: {each.note}" for each in resolutions))


def address_of(violation: Violation) -> str:
    """The pipeline's page in the admin; empty where there is none."""
    if violation.pipeline is None:
        return ""
    try:
        path = reverse("admin:pipeline_pipeline_change", args=[violation.pipeline])
    except NoReverseMatch:
        return ""
    return f"{getattr(settings, 'SITE_URL', '')}{path}"


def as_text(violation: Violation) -> str:
    """One line: which invariant, which pipeline, what was expected and found, what to do next."""
    which = f"pipeline {violation.pipeline}" if violation.pipeline else "no pipeline"
    address = address_of(violation)
    where = f" ({address})" if address else ""
    return (
        f"{violation.invariant} {which}{where}: expected {violation.expected}; found: {violation.found}; "
        f"next: {violation.next_step}"
    )


def as_dict(violation: Violation) -> dict[str, str | None]:
    """The same for scripts."""
    return {
        "invariant": violation.invariant,
        "pipeline": str(violation.pipeline) if violation.pipeline else None,
        "expected": violation.expected,
        "found": violation.found,
        "next": violation.next_step,
        "admin": address_of(violation),
    }
