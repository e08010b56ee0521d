"""Checks that ask the database: its version, its sessions' limits, and whether owners' locks can be believed.

`manage.py check --database default` and `migrate` run them, and so does each worker before it takes a job.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, Final

import psycopg
from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError, connections

from pipeline.errors import UnsteadyOwner
from pipeline.owner_session import rehearse
from pipeline.postgresql.sessions import MissingLimits, settle

OLDEST: Final = 16
AWAY: Final = "pipeline.E209"


@register(Tags.database)
def check_connections(
    app_configs: Sequence[AppConfig] | None, databases: Iterable[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """Errors of the server, of its sessions, or of the owner's address; an answer that does not come is AWAY."""
    if "default" not in (databases or ()) or connections["default"].vendor != "postgresql":
        return []
    try:
        return _wrong_server() or _wrong_owner()
    except (psycopg.Error, DatabaseError) as error:
        hint = "Start it, or set DATABASE_URL (and DATABASE_OWNER_URL, if owners have an address of their own) right."
        return [Error(f"The database does not answer: {error}", hint=hint, id=AWAY)]
    finally:
        connections["default"].close()


def _wrong_server() -> list[CheckMessage]:
    given = connections["default"]
    with closing(psycopg.connect(**given.get_connection_params(), autocommit=True)) as session:
        if (major := session.info.server_version // 10_000) < OLDEST:
            hint = f"Use PostgreSQL {OLDEST} or newer: statements here are not tested on older ones."
            return [Error(f"The server is PostgreSQL {major}.", hint=hint, id="pipeline.E206")]
        try:
            settle(session, given.settings_dict["OPTIONS"].get("session_limits", {}), {})
        except MissingLimits as missing:
            return [Error("Sessions have no time limits.", hint=str(missing), id="pipeline.E207")]
    return []


def _wrong_owner() -> list[CheckMessage]:
    try:
        rehearse()
    except UnsteadyOwner as unsteady:
        return [Error("Owners' locks cannot be believed.", hint=str(unsteady), id="pipeline.E208")]
    return []
