"""DATABASE_URL as Django's settings have it, read by PostgreSQL's own rules: several hosts, sockets, every option."""

from typing import Any, Final

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from config import env

# How long one statement may take, wait for a lock, or leave a transaction idle.
LIMITS: Final = {
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
}
_NAMES: Final = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}  # nosec B105 # a setting's name
_OPTIONS: Final[dict[str, Any]] = {
    "connect_timeout": 3,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "session_limits": LIMITS,
}


def from_environment() -> dict[str, Any]:
    """DATABASES["default"]. Workers keep a plain connection each; web processes may set DATABASE_POOL=1.

    One pool a process: under ASGI a request that waits or streams has a thread of its own, and would otherwise open a
    connection of its own.
    """
    given = address("DATABASE_URL")
    database: dict[str, Any] = {name: given.pop(key, "") for key, name in _NAMES.items()}
    database |= {"ENGINE": "pipeline.postgresql", "CONN_MAX_AGE": 0, "OPTIONS": _OPTIONS | _preparing() | given}
    if env.flag("DATABASE_POOL"):
        # The backend itself looks at each connection that it takes. One that cannot be made now is tried again at
        # the next request: by itself the pool would wait up to twice as long as the database was away.
        pool = {"min_size": 2, "max_size": 20, "timeout": 3, "reconnect_timeout": 0}
        database["OPTIONS"]["pool"] = pool
    elif not env.flag("DATABASE_FRESH"):
        database |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    return database


def address(variable: str) -> dict[str, Any]:
    """The parts of a PostgreSQL address by libpq's names; ImproperlyConfigured."""
    hint = "For example postgresql://user:password@127.0.0.1:5432/postings."
    text = env.required(variable, hint)
    try:
        return dict(conninfo_to_dict(text))
    except psycopg.ProgrammingError:
        # Not the driver's own words: they may have the password in them.
        raise ImproperlyConfigured(f"{variable} is no address of a PostgreSQL database. {hint}") from None


def _preparing() -> dict[str, Any]:
    """Guarded statements are long: prepare them on second use.

    By default not through a pooler, which may not be able to carry them; DATABASE_PREPARE=1 says that it is.
    """
    is_on = env.flag("DATABASE_PREPARE", default=True)
    return {"prepare_threshold": 2 if is_on else None, "prepare_shared": is_on and bool(env.text("DATABASE_PREPARE"))}
