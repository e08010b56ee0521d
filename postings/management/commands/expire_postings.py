"""`manage.py expire_postings`: take down postings whose time is over. Sweeps do it by and by, this now."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from postings.endings import BATCH, expire_due


class Command(BaseCommand):
    """Starts a pipeline for each; running it twice, or on two machines at once, does nothing twice."""

    help = (
        "Take down postings whose time is over, a pipeline each, and tell the search engine where that is switched "
        "on. Nothing is refunded. The board hides them from their last second on, and whatever sweeps does "
        "this every few minutes by itself."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Options."""
        parser.add_argument("--limit", type=int, default=BATCH, help="at most so many postings (default: %(default)s)")

    def handle(self, *, limit: int, **_: Any) -> None:
        """Run."""
        begun = [started for started in expire_due(limit) if started.is_new]
        self.stdout.write(f"{len(begun)} expired postings are being taken down")
