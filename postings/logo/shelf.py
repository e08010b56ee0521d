"""Logos on their way to the public: a few readers of object storage, one read a key, and the last ones in memory.

Storage that hangs holds these readers and nobody else.
"""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Lock

Read = Callable[[str], bytes]


class Crowded(Exception):
    """Too many other logos wait for the readers."""


class Shelf:
    """Reads by `read` in at most `readers` threads; at most `flights` keys at a time are read or wait for it.

    `size` bytes are kept, the least recently asked for going first. A key's bytes never change.
    """

    def __init__(self, read: Read, *, readers: int, flights: int, size: int) -> None:
        self._read, self._max_flights, self._size = read, flights, size
        self._readers = ThreadPoolExecutor(readers, "logos")
        self._lock = Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._waiting: dict[str, list[Future[bytes]]] = {}

    def ask(self, key: str) -> Future[bytes]:
        """The bytes, at once or later, or the error of `read`. Cancelling it disturbs no other. Raises Crowded."""
        mine: Future[bytes] = Future()
        with self._lock:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                mine.set_result(kept)
                return mine
            if (waiting := self._waiting.get(key)) is not None:
                waiting.append(mine)
                return mine
            if len(self._waiting) >= self._max_flights:
                raise Crowded
            self._waiting[key] = [mine]
        self._readers.submit(self._read, key).add_done_callback(partial(self._landed, key))
        return mine

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._kept.clear()
            self._kept_bytes = 0

    def _landed(self, key: str, flight: Future[bytes]) -> None:
        error = flight.exception()
        with self._lock:
            waiting = self._waiting.pop(key)
            if error is None:
                self._keep(key, flight.result())
        for mine in waiting:
            if not mine.set_running_or_notify_cancel():
                continue
            if error is None:
                mine.set_result(flight.result())
            else:
                mine.set_exception(error)

    def _keep(self, key: str, picture: bytes) -> None:
        if len(picture) > self._size // 4:  # one that is as large as that would push out all others
            return
        self._kept[key] = picture
        self._kept_bytes += len(picture)
        while self._kept_bytes > self._size:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped)
