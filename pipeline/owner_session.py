"""The session in which an owner's lock lives: where it leads to, what is set on it, and whether it stays one session.

A session-level lock belongs to a backend of PostgreSQL. Where a pooler may answer the next statement by another
backend, the lock says nothing about its process, so that such an address is refused.
"""

import random
import select
import time
from contextlib import ExitStack, closing
from typing import Any, Final

import psycopg
from django.db import connection
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

from pipeline.conf import conf
from pipeline.errors import UnsteadyOwner

# First key of the two-key advisory lock; the second is the owner's id. "pipe" in ASCII.
LOCK_CLASS: Final = 0x70697065
PATIENCE: Final = 2.0  # seconds for an answer: a lease is 60, and a server that takes so long proves nothing
TRIES: Final = 3

# Server-side keepalives: a vanished machine frees its lock in about 15 s, regardless of the server's defaults. Linux
# counts no probes where a user timeout is set: the first one after 12 s is the one at 14 s.
_SETTINGS: Final = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "12000",
    "idle_session_timeout": "0",
}
_SETTLE: Final = "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in _SETTINGS.items())
_NOT_LIBPQS: Final = ("context", "cursor_factory", "prepare_threshold")
_WHERE: Final = ("host", "hostaddr", "port", "dbname", "user", "password", "service", "options")

_UNSTEADY: Final = (
    "Two statements of one session were answered by different backends: the owner's address leads to a pooler in "
    "transaction mode, where a lock says nothing about its process. Set DATABASE_OWNER_URL to PostgreSQL itself, or to "
    "a pool in session mode."
)
_UNSEEN: Final = (
    "A lock taken at DATABASE_OWNER_URL is not seen at DATABASE_URL, so that everybody would take this process for "
    "dead: let both lead to the same database of the same server."
)
_NOT_FREED: Final = (
    "The lock of a session that was closed is still held after {seconds:g} s: the pooler keeps what it leaves. In "
    "PgBouncer, let server_reset_query be DISCARD ALL."
)


def connect() -> psycopg.Connection[Any]:
    """A session at the owner's address; psycopg's errors."""
    django = {name: value for name, value in connection.get_connection_params().items() if name not in _NOT_LIBPQS}
    address = conf().OWNER_ADDRESS
    if address is not None:
        django = {name: value for name, value in django.items() if name not in _WHERE} | dict(address)
    return psycopg.connect(**django | {"application_name": "pipeline-owner"}, autocommit=True)


def answer(session: psycopg.Connection[Any], statement: str, within: float = PATIENCE) -> tuple[str, ...]:
    """The first row, as text, of a statement without parameters.

    Raises psycopg's errors; OperationalError when no answer came in time, and then the session is of no use.
    """
    pgconn = session.pgconn
    poll = select.poll()
    poll.register(session.fileno(), select.POLLIN)
    ends = time.monotonic() + within
    rows: list[tuple[str, ...]] = []
    pgconn.send_query(statement.encode())
    while True:
        while pgconn.is_busy():
            if not poll.poll(max(0.0, ends - time.monotonic()) * 1000):
                raise psycopg.OperationalError(f"no answer within {within:g} s")
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            return rows[0] if rows else ()
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise error_from_result(result)
        if result.ntuples:
            rows.append(tuple((result.get_value(0, column) or b"").decode() for column in range(result.nfields)))


def backend(session: psycopg.Connection[Any], within: float = PATIENCE) -> int:
    """The process of PostgreSQL that answers it now."""
    return int(answer(session, "SELECT pg_backend_pid()", within)[0])


def settle(session: psycopg.Connection[Any]) -> None:
    """Make the session's settings. Only on a steady one: elsewhere they would stay with others."""
    answer(session, _SETTLE)


def refuse_unsteady(session: psycopg.Connection[Any]) -> None:
    """UnsteadyOwner when the session's statements may be answered by different backends.

    A pooler tells a backend's number of its own. An idle one may give the same backend twice, so that others take the
    last one away, by an open transaction, before it is asked again.
    """
    if backend(session) == session.info.backend_pid:
        return
    with ExitStack() as others:
        for _ in range(TRIES):
            before = backend(session)
            try:
                other = others.enter_context(closing(connect()))
                answer(other, "BEGIN", PATIENCE / 2)
                taken = backend(other, PATIENCE / 2)
            except psycopg.Error:
                return  # no room for another session: then this is a pool in session mode, where each keeps its own
            if taken == before or backend(session) != before:
                raise UnsteadyOwner(_UNSTEADY)


def refuse_unseen(owner: int) -> None:
    """UnsteadyOwner when others, who look at Django's own address, do not see the owner's lock."""
    if not is_locked(owner):
        raise UnsteadyOwner(_UNSEEN)


def is_locked(owner: int) -> bool:
    """Whether anybody holds the lock of this id, as the sweep sees it; django.db's errors."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid::bigint = %s"
            " AND objsubid = 2 AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
            [LOCK_CLASS, owner],
        )
        return bool(cursor.fetchone()[0])


def rehearse() -> None:
    """Take and leave a lock as an owner does, with an id that no owner has; UnsteadyOwner, the databases' errors."""
    trial = -random.randrange(1, 2**31)  # noqa: S311 - no secret
    with closing(connect()) as session:
        refuse_unsteady(session)
        answer(session, f"SELECT pg_advisory_lock({LOCK_CLASS}, {trial})")
        refuse_unseen(trial % 2**32)  # as pg_locks shows it
    ends = time.monotonic() + PATIENCE
    while is_locked(trial % 2**32):
        if time.monotonic() > ends:
            raise UnsteadyOwner(_NOT_FREED.format(seconds=PATIENCE))
        time.sleep(0.02)
