"""`manage.py reap`: erase the personal data whose time is over. The workers' sweeps do it every hour."""

from typing import Any

from django.core.management.base import BaseCommand

from pipeline.conf import conf
from pipeline.retention import reap


class Command(BaseCommand):
    """Safe to run at any time, and by several at once."""

    help = 'Erase the personal data of pipelines that ended longer ago than PIPELINE["RETENTION"].'

    def handle(self, **_: Any) -> None:
        """Run, and say how much."""
        if not conf().RETENTION:
            self.stdout.write('Nothing is erased: PIPELINE["RETENTION"] (RETENTION_DAYS) is off.')
            return
        counts = ", ".join(f"{count} {what}" for what, count in reap().items())
        self.stdout.write(f"Erased, being older than {conf().RETENTION}: {counts}.")
