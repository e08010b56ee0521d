"""`manage.py render_descriptions`: renders stored HTML again after a change of the renderer or the sanitiser."""

from typing import Any

from django.core.management.base import BaseCommand

from postings.descriptions import render_again


class Command(BaseCommand):
    """Safe at any time, also after it was stopped. Until it has run, pages render outdated descriptions themselves."""

    help = "Render the descriptions that another version of the renderer made."

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how many there were."""
        self.stdout.write(f"Descriptions rendered: {render_again()}")
