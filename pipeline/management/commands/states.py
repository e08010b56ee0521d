"""`manage.py states`: print docs/states.md."""

from typing import Any

from django.core.management.base import BaseCommand

from pipeline.states_chart import document


class Command(BaseCommand):
    """Prints the page."""

    help = "Print the chart and tables of all states, for docs/states.md."
    requires_system_checks: list[str] = []

    def handle(self, **_: Any) -> None:
        """Run."""
        self.stdout.write(document(), ending="")
