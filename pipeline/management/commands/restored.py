"""`manage.py restored`: to be run once after a backup of the database was restored, before workers are started."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pipeline.errors import StepFailure
from pipeline.restored import resume


class Command(BaseCommand):
    """Reads the providers; writes deadlines and a line of history for each unfinished pipeline. Safe to repeat."""

    help = (
        "Compare unfinished pipelines with the providers after a backup was restored: those whose commit had begun get "
        "the time to go on to their end. Run it while no worker runs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Options."""
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument("--by", default="manage.py restored", help="who, for the history")

    def handle(self, *, dry_run: bool, by: str, **_: Any) -> None:
        """Run; CommandError (2) when a provider cannot be read: nothing is changed then."""
        count = 0
        try:
            for count, each in enumerate(resume(by=by, dry_run=dry_run), start=1):  # noqa: B007
                how = "goes on: its commit had begun" if each.is_final else "goes on, or turns back at its deadline"
                self.stdout.write(f"{each.pipeline.workflow} {each.pipeline.pk}, {each.pipeline.state}: {how}")
        except StepFailure as failure:
            raise CommandError(
                f"a provider cannot be read, and nothing was changed: {failure}", returncode=2
            ) from failure
        self.stdout.write(f"{count} unfinished pipelines{', unchanged' if dry_run else ''}")
