"""`manage.py reconcile`: remove what slipped through, list what a person must decide. The workers do it by a chore."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pipeline.errors import StepFailure
from pipeline.management.since import add_since
from pipeline.models import Finding
from pipeline.reconciliation import reconcile


class Command(BaseCommand):
    """Safe to run at any time, and by several at once."""

    help = "Find what is at the providers under our marks and should not be: remove it where that is safe."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Options."""
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        add_since(parser, "what was")

    def handle(self, *, dry_run: bool, since: datetime | None, **_: Any) -> None:
        """Run; CommandError (2) when a provider could not be read."""
        failures: list[StepFailure] = []
        count = 0
        for count, dealt in enumerate(reconcile(since=since, dry_run=dry_run, failures=failures), start=1):  # noqa: B007
            thing = dealt.thing
            self.stdout.write(f"{thing.kind} {thing.id} of pipeline {thing.mark}: {dealt.verdict.why} {dealt.done}")
        left = Finding.objects.filter(closed_at=None).count()
        self.stdout.write(f"{count} things that should not be there; {left} findings are open in the admin")
        if failures:
            raise CommandError(f"not everything could be looked at, run it again: {failures[0]}", returncode=2)
