"""`manage.py checkstorage`: names the features that the object storage lacks, before the first logo is stored."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from pipeline.workflow import StepFailure
from postings.providers.storage_check import lacks


class Command(BaseCommand):
    """Stores, reads, lists and deletes one small object."""

    help = "Say what the object storage lacks of what is used here. Status 1 if logos cannot be stored."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Name each lack with what it means."""
        try:
            found = lacks()
        except StepFailure as failure:
            raise CommandError(f"Nothing can be stored: {failure}.") from failure
        for lack in found:
            self.stdout.write(f"{'NEEDED: ' if lack.is_needed else ''}It lacks {lack.feature}: {lack.meaning}")
        if any(lack.is_needed for lack in found):
            raise CommandError("Logos cannot be stored reliably: see above.")
        self.stdout.write("Logos can be stored." if found else "The object storage has everything that is used here.")
