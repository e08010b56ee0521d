"""The sandbox's own time: the machine's clock plus an offset that only ever grows, kept in the store."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from sandbox.store import Store

OFFSET = "clock.offset"


class Clock:
    """Seconds since the epoch as the providers see them. Signatures and delivery use the machine's time instead."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._offset = float(store.setting(OFFSET) or 0)

    @property
    def offset(self) -> float:
        return self._offset

    def now(self) -> float:
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Moves the clock on by `seconds`; the caller lets time pass over the providers afterwards."""
        self._offset += seconds
        self._store.set(OFFSET, repr(self._offset))

    def reset(self) -> None:
        self._offset = 0.0
        self._store.set(OFFSET, None)


def rfc3339(moment: float) -> str:
    """UTC with milliseconds, as in `2026-11-21T07:29:00.123Z`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(moment * 1000) % 1000:03d}Z"
