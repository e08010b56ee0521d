"""`manage.py erase`: a person asks for their data to be erased before its time."""

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pipeline.errors import IllegalAction
from pipeline.retention import erase, holding


class Command(BaseCommand):
    """Erases what is possible; ends with status 1, and the next step for each, when something was refused."""

    help = "Erase the personal data of ended pipelines: of one by its id, or of all that hold an email address."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Options."""
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--pipeline", type=uuid.UUID, action="append", help="a pipeline's id; may be repeated")
        which.add_argument("--email", help="an address that was submitted, or a user's")
        parser.add_argument("--by", default="command line", help="who does it, for the history")
        parser.add_argument("--reason", default="asked for by the person", help="why, for the history")

    def handle(self, *, pipeline: list[uuid.UUID] | None, email: str | None, by: str, reason: str, **_: Any) -> None:
        """A line for each pipeline; the address itself is not repeated."""
        refused = [words for key in pipeline or holding(email or "") if (words := self._erase(key, by, reason))]
        if refused:
            raise CommandError("\n".join(refused))

    def _erase(self, pipeline: uuid.UUID, by: str, reason: str) -> str:
        try:
            is_new = erase(pipeline, by=by, reason=reason)
        except IllegalAction as illegal:
            return str(illegal)
        self.stdout.write(f"{pipeline}: {'erased' if is_new else 'was erased before'}")
        return ""
