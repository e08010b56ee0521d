"""Limits for one call to a provider: the time for the whole of it, and the size of its answers.

`with within():` begins a call. The sockets of this package ask for what is left before each operation, so a peer that
sends a byte every second, reads nothing, or never ends is given up when the call's time is over. A client of this
package that is used outside `within` raises NoBudget: no call goes without.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pipeline.conf import conf
from pipeline.errors import PipelineError

LARGEST: Final = 10 * 1024 * 1024  # bytes of one call's answers, heads included: a page of a list has some 500 KiB


class NoBudget(PipelineError):
    """A defect: a provider was called outside `within`."""


class TooLarge(OSError):
    """The peer's answer is larger than the call allows. An OSError: clients take it for a broken connection."""


@dataclass(slots=True)
class _Allowance:
    """Bytes that the answers of one call may still have."""

    size: int


_ends_at: ContextVar[float] = ContextVar("ends_at", default=float("inf"))  # by the monotonic clock
_allowance: ContextVar[_Allowance | None] = ContextVar("allowance", default=None)


@contextmanager
def within(period: timedelta | None = None, *, size: int = LARGEST) -> Iterator[None]:
    """One call: all that is sent and read inside ends within `period`, CALL_TIME if none is given.

    An enclosing `at_most` or `within` that ends earlier stays in force. Inside a call another one is a part of it.
    """
    token = _allowance.set(_allowance.get() or _Allowance(size))
    try:
        with at_most(conf().CALL_TIME if period is None else period):
            yield
    finally:
        _allowance.reset(token)


@contextmanager
def at_most(period: timedelta) -> Iterator[None]:
    """A limit for the calls inside, together. It begins no call by itself."""
    token = _ends_at.set(min(_ends_at.get(), time.monotonic() + period.total_seconds()))
    try:
        yield
    finally:
        _ends_at.reset(token)


def left() -> float:
    """Seconds, more than 0. TimeoutError when the call's time is over, NoBudget outside a call."""
    if _allowance.get() is None:
        raise NoBudget("A provider was called without a time limit: call it inside `with budget.within():`.")
    seconds = _ends_at.get() - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the call's whole time is over")
    return seconds


def announce(length: int | None) -> None:
    """The peer says how long its answer is. TooLarge, before memory is set aside, if that is more than is allowed."""
    allowance = _allowance.get()
    if allowance is not None and length is not None and length > allowance.size:
        raise TooLarge("the answer is larger than a call allows")


def count(received: int) -> None:
    """Count so many bytes of the answer. TooLarge when they are more than the call allows."""
    allowance = _allowance.get()
    if allowance is None:
        return
    allowance.size -= received
    if allowance.size < 0:
        raise TooLarge("the answer is larger than a call allows")
