"""The settings that a database session must have before it is used, with or without a pooler in between.

They are made on a session that is PostgreSQL's own. Behind a pooler a session also belongs to others: nothing is set on
it, and its limits have to come from the role (`ALTER ROLE … SET`). A session without its limits is refused.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql

# A newer session that cannot write tells the truth about its server; an older one may be left over from a failover.
YOUNG: Final = 1.0  # seconds

# Names of settings that a session must have, with their values as the longest that is accepted.
Limits = Mapping[str, str]


class MissingLimits(psycopg.OperationalError):
    """The session has no time limits, and none may be set on it: the text says what to do."""


@dataclass(slots=True)
class _Session:
    opened_at: float = field(default_factory=time.monotonic)
    is_shared: bool = False
    is_unfit: bool = False


_known: Final[WeakKeyDictionary[psycopg.Connection[Any], _Session]] = WeakKeyDictionary()


def settle(connection: psycopg.Connection[Any], limits: Limits, wishes: Mapping[str, str]) -> None:
    """Make a new session's settings in one round trip, or find that it is shared; MissingLimits.

    `limits` must hold, `wishes` (how statements are planned) need not.
    """
    session = _known.setdefault(connection, _Session())
    own = connection.info.backend_pid  # as told at the start; a pooler tells a number of its own
    row = connection.execute(_settling(own, limits, wishes), prepare=False).fetchone()
    assert row is not None
    is_own, *found = row
    session.is_shared = not is_own
    wrong = [name for name, holds in zip(limits, found, strict=False) if not holds]
    if wrong:
        raise MissingLimits(_cure(connection, {name: limits[name] for name in wrong}))


def is_shared(connection: psycopg.Connection[Any]) -> bool:
    """Whether a pooler stands in between: a setting that is left on the session would reach others."""
    session = _known.get(connection)
    return session is not None and session.is_shared


def give_up(connection: psycopg.Connection[Any] | None) -> None:
    """Its server said that the session is no good now: it is thrown away when it is closed."""
    if connection is not None:
        _known.setdefault(connection, _Session()).is_unfit = True


def is_given_up(connection: psycopg.Connection[Any]) -> bool:
    """Whether it must not be used again."""
    session = _known.get(connection)
    return session is not None and session.is_unfit


def is_fit(connection: psycopg.Connection[Any]) -> bool:
    """Whether it answers and can write, or is so new that its server lets nobody write. One round trip."""
    if is_given_up(connection):
        return False
    try:
        row = connection.execute("SHOW transaction_read_only", prepare=False).fetchone()
    except psycopg.Error:
        return False
    session = _known.setdefault(connection, _Session())
    return row == ("off",) or time.monotonic() - session.opened_at < YOUNG


def _settling(own: int, limits: Limits, wishes: Mapping[str, str]) -> sql.Composed:
    """A statement that sets nothing if the backend is not the one that was named when the session began."""
    parts = [sql.SQL("pid = {} AS is_own").format(own)]
    parts += [
        sql.SQL(
            "CASE WHEN pid = {own} THEN set_config({name}, {value}, false) ELSE current_setting({name}) END::interval"
            " BETWEEN interval '1 ms' AND {value}::interval"
        ).format(own=own, name=name, value=value)
        for name, value in limits.items()
    ]
    parts += [
        sql.SQL("CASE WHEN pid = {own} THEN set_config({name}, {value}, false) END").format(
            own=own, name=name, value=value
        )
        for name, value in wishes.items()
    ]
    return sql.SQL("SELECT {} FROM pg_backend_pid() AS pid").format(sql.SQL(", ").join(parts))


def _cure(connection: psycopg.Connection[Any], missing: Limits) -> str:
    role = sql.Identifier(connection.info.user).as_string(connection)
    row = connection.execute("SELECT current_database()", prepare=False).fetchone()
    database = sql.Identifier(row[0] if row else connection.info.dbname).as_string(connection)
    commands = " ".join(
        f"ALTER ROLE {role} IN DATABASE {database} SET {name} = '{value}';" for name, value in missing.items()
    )
    return (
        f"DATABASE_URL leads to a pooler, and sessions there have no {', '.join(missing)}. "
        f"Run once, as that role: {commands} Then let the pooler open new sessions (PgBouncer: RECONNECT)."
    )
