"""The process that runs jobs: its id, and the advisory lock that tells everyone else it is alive.

The lock lives in a session of its own. PostgreSQL frees it within milliseconds of the process's death, whoever
killed it, so that nobody has to wait for a dead worker. A process that cannot prove to hold its lock begins no effect
until it holds one again, under a new id: what it had claimed is taken over.
"""

import logging
import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import psycopg
from django.db import connection

from pipeline.conf import conf
from pipeline.owner_session import LOCK_CLASS, answer, connect, refuse_unseen, refuse_unsteady, settle

# The server is asked at most so often: in between, a session that was closed is seen at its socket, for nothing.
PROVEN_FOR: Final = 0.25  # seconds

_TAKE: Final = f"""
SELECT owner, pg_backend_pid(), pg_advisory_lock({LOCK_CLASS}, owner)
FROM (SELECT nextval('pipeline_owner_seq')::int AS owner) new"""

# Of the backend that answers: behind a pooler it may be another one than that which took the lock.
_PROVE: Final = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND classid = {lock_class} AND objid = {owner} AND objsubid = 2 AND granted
  AND pid = {backend} AND pid = pg_backend_pid()"""

log = logging.getLogger(__name__)


class Owner:
    """One process's identity. `id` takes the lock if need be; `is_alive` is cheap enough for every effect."""

    def __init__(self) -> None:
        self._session: psycopg.Connection[Any] | None = None
        self._id = 0
        self._pid = 0
        self._backend = 0
        self._proven_at = 0.0  # by this process's own clock, from before the server was asked
        self._mutex = threading.Lock()

    def id(self) -> int:
        """This process's owner id, its lock held. Raises django.db's errors, and UnsteadyOwner."""
        with self._mutex:
            if not self._holds():
                self._renew()
            return self._id

    def is_alive(self, owner: int) -> bool:
        """Whether that id is this process's and its lock is held, as the server has said a moment ago."""
        with self._mutex:
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
        if session is None or self._pid != os.getpid() or session.closed or _is_readable(session):
            return False
        asked_at = time.monotonic()
        if asked_at - self._proven_at < PROVEN_FOR:
            return True
        if not self._is_proven(session):
            log.warning("owner %s cannot prove its lock: it begins nothing more under this id", self._id)
            self._drop()
            return False
        self._proven_at = asked_at
        return True

    def _is_proven(self, session: psycopg.Connection[Any]) -> bool:
        try:
            row = answer(session, _PROVE.format(lock_class=LOCK_CLASS, owner=self._id, backend=self._backend))
        except psycopg.Error as error:
            log.warning("owner %s: the server does not say whether its lock is held (%s)", self._id, error)
            return False
        return row == ("1",)

    def _renew(self) -> None:
        self._drop()
        asked_at = time.monotonic()
        with connection.wrap_database_errors:
            session = connect()
            try:
                refuse_unsteady(session)
                settle(session)
                owner, backend = (int(each) for each in answer(session, _TAKE)[:2])
                if conf().OWNER_ADDRESS is not None:
                    refuse_unseen(owner)
            except BaseException:
                session.close()
                raise
        self._session, self._id, self._pid, self._backend = session, owner, os.getpid(), backend
        self._proven_at = asked_at
        log.info("owner %s is process %s", self._id, self._pid)

    def _drop(self) -> None:
        session, self._session, self._id = self._session, None, 0
        if session is not None and self._pid == os.getpid():
            session.close()


def _is_readable(session: psycopg.Connection[Any]) -> bool:
    """Whether the server said something unasked, as it does when it closes the session."""
    poll = select.poll()
    poll.register(session.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))


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
