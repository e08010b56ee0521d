"""`manage.py sweep`: publish what is due and call the chores, until stopped. Each worker runs one; any number may."""

import os
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from pipeline import chores
from pipeline.db import go_by_index
from pipeline.sweep import sweep_for_ever, sweep_once


class Command(BaseCommand):
    """Sweeps at intervals, or once."""

    # The delivery guarantee does not depend on a warning about it.
    requires_system_checks: list[str] = []
    help = "Publish the jobs that are due and run the chores: the delivery guarantee, in case no worker does."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Options."""
        parser.add_argument("--once", action="store_true", help="sweep once and end")
        parser.add_argument("--parent", type=int, help="end when this process is gone")

    def handle(self, *, once: bool, parent: int | None, **_: Any) -> None:
        """Run."""
        if once:
            self.stdout.write(f"{sweep_once()} jobs published")
            return
        go_by_index()
        # A handler takes no lock: a second signal may come while it runs, and would wait for itself.
        signals: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: signals.append(received))
        over = threading.Event()
        chores.start(over)
        sweep_for_ever(lambda: bool(signals) or (parent is not None and os.getppid() != parent))
        over.set()
