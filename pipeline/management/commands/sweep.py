"""`manage.py sweep`: publish what is due, until stopped. Workers run it by themselves; any number may run."""

import os
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from pipeline.sweep import sweep_for_ever, sweep_once


class Command(BaseCommand):
    """Sweeps at intervals, or once."""

    # The delivery guarantee does not depend on a warning about it.
    requires_system_checks: list[str] = []
    help = "Publish the jobs that are due: the delivery guarantee, in case no worker runs it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Options."""
        parser.add_argument("--once", action="store_true", help="sweep once and end")
        parser.add_argument("--parent", type=int, help="end when this process is gone")

    def handle(self, *, once: bool, parent: int | None, **_: Any) -> None:
        """Run."""
        if once:
            self.stdout.write(f"{sweep_once()} jobs published")
            return
        stopped: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: stopped.append(received))
        sweep_for_ever(lambda: bool(stopped) or (parent is not None and os.getppid() != parent))
