"""The memory that all decoders of this process may take, and the number of threads that may wait for it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Condition
from typing import Final

MIB: Final = 1024 * 1024


class NoRoom(Exception):
    """Too many pictures are being decoded just now."""


class Room:
    """`size` bytes for all threads that decode. At most `seats` threads decode or wait: others are turned away at once,
    so a process with more threads than seats keeps answering everything else.
    """

    def __init__(self, size: int, seats: int) -> None:
        self.size = size
        self._free = size
        self._line: list[object] = []  # first come, first served: a large picture is not overtaken for ever
        self._changed = Condition()
        self._seats = BoundedSemaphore(seats)

    @contextmanager
    def take(self, amount: int, patience: float) -> Iterator[None]:
        """Hold `amount` bytes, or all there are; NoRoom when that takes longer than `patience` seconds."""
        amount = min(amount, self.size)
        if not self._seats.acquire(blocking=False):
            raise NoRoom
        try:
            self._enter(amount, time.monotonic() + patience)
            try:
                yield
            finally:
                self._leave(amount)
        finally:
            self._seats.release()

    def _enter(self, amount: int, until: float) -> None:
        me = object()
        with self._changed:
            self._line.append(me)
            try:
                if not self._changed.wait_for(
                    lambda: self._line[0] is me and self._free >= amount, max(0.0, until - time.monotonic())
                ):
                    raise NoRoom
                self._free -= amount
            finally:
                self._line.remove(me)
                self._changed.notify_all()

    def _leave(self, amount: int) -> None:
        with self._changed:
            self._free += amount
            self._changed.notify_all()
