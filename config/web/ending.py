"""Ends waits and streams when the server is asked to end: otherwise they would hold it until its grace is over."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from pipeline.api import watch


def end_with_the_server() -> None:
    """Run `watch.end_all` before the signal handlers that a server has set. Without such handlers nothing is changed.

    Servers import the application after they have set them, and tell it nothing until all connections are closed.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        if callable(before) and before is not signal.default_int_handler:
            signal.signal(number, _ending(before))


def _ending(before: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        watch.end_all()
        before(number, frame)

    return handle
