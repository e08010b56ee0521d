"""The process that runs jobs: its id, and the advisory lock that tells everyone else it is alive.

The lock lives in a session of its own. PostgreSQL frees it within milliseconds of the process's death, whoever
killed it, so that nobody has to wait for a dead worker. A process that has lost the session begins no effect
until it holds a lock again, under a new id: what it had claimed is taken over.
"""

import logging
import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import psycopg
from django.db import connection

# First key of the two-key advisory lock; the second is the owner's id. "pipe" in ASCII.
LOCK_CLASS: Final = 0x70697065

_NEW_OWNER: Final = """
SELECT owner, pg_advisory_lock(%(lock_class)s, owner)
FROM (SELECT nextval('pipeline_owner_seq')::int AS owner) new"""

log = logging.getLogger(__name__)


class Owner:
    """One process's identity. `id` takes the lock if need be; `is_alive` is cheap enough for every effect."""

    def __init__(self) -> None:
        self._session: psycopg.Connection[Any] | None = None
        self._id = 0
        self._pid = 0
        self._mutex = threading.Lock()

    def id(self) -> int:
        """This process's owner id, its lock held."""
        with self._mutex:
            if not self._holds():
                self._renew()
            return self._id

    def is_alive(self, owner: int) -> bool:
        """Whether that id is this process's and its session stands: a closed socket is readable."""
        return self._id == owner and self._holds()

    def held(self) -> int:
        """The id whose lock is held now; 0 when none is."""
        return self._id

    def renounce(self) -> None:
        """Give the lock back: whatever this process had claimed is free for others at once.

        For when the outcome of a claim or a record is not known, because its connection broke.
        """
        with self._mutex:
            self._drop()

    def _holds(self) -> bool:
        session = self._session
        if session is None or self._pid != os.getpid() or session.closed:
            return False
        poll = select.poll()
        poll.register(session.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)

    def _renew(self) -> None:
        self._drop()
        session = psycopg.connect(**_session_params(), autocommit=True)
        row = session.execute(_NEW_OWNER, {"lock_class": LOCK_CLASS}).fetchone()
        assert row is not None
        self._session, self._id, self._pid = session, row[0], os.getpid()
        log.info("owner %s is process %s", self._id, self._pid)

    def _drop(self) -> None:
        session, self._session, self._id = self._session, None, 0
        if session is not None and self._pid == os.getpid():
            session.close()


def _session_params() -> dict[str, Any]:
    """Django's own address and credentials, with server-side keepalives: a vanished machine frees its lock in
    about 15 s, whatever the server's defaults are.
    """
    params = connection.get_connection_params()
    return {
        key: value
        for key, value in params.items()
        if key not in ("context", "cursor_factory", "prepare_threshold", "pool", "options")
    } | {
        "application_name": "pipeline-owner",
        # Linux counts no probes where a user timeout is set: the first one after 12 s is the one at 14 s.
        "options": "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3"
        " -c tcp_user_timeout=12000"
        " -c idle_session_timeout=0",
    }


_process = Owner()
_acting: ContextVar[Owner | None] = ContextVar("owner", default=None)


def owner() -> Owner:
    """Who runs jobs here: this process, or the owner that a test acts as."""
    return _acting.get() or _process


@contextmanager
def acting_as(another: Owner) -> Iterator[Owner]:
    """Run jobs as another owner, in this thread: for tests that need several processes in one."""
    token = _acting.set(another)
    try:
        yield another
    finally:
        _acting.reset(token)
