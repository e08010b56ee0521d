"""Things that a process has one of, such as a provider's client, made on first use by whichever thread needs it."""

from collections.abc import Callable
from functools import update_wrapper
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Decorates a maker without arguments: every call gives the one thing that it made.

    Unlike under `functools.cache`, threads that begin together wait for one instead of making one each: a client of
    boto3 takes 14 MiB and a tenth of a second.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        update_wrapper(self, make)
        self._make = make
        self._made: list[T] = []
        self._lock = Lock()

    def __call__(self) -> T:
        """The thing; what the maker raises, and then the next call tries again."""
        if not self._made:
            with self._lock:
                if not self._made:
                    self._made.append(self._make())
        return self._made[0]

    @property
    def is_made(self) -> bool:
        """Whether anybody has asked yet."""
        return bool(self._made)

    def cache_clear(self) -> None:
        """Make another one at the next call (for tests)."""
        self._made = []
