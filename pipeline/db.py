"""Running the guarded statements: prepared by the server, on Django's connection, in its transaction if any."""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import RawCursor

from pipeline.postgresql.base import wishes

Row = dict[str, Any]
Constant = str | bool | timedelta | None

_NAMED: Final = re.compile(r"%\((\w+)\)s")
_COMMENT: Final = re.compile(r"--.*$", re.MULTILINE)


class Statement:
    """SQL with named parameters, translated to PostgreSQL's own numbered ones once instead of at each execution.

    `types` says of which type some parameters are: type to names, as one text. `constants` are written into the
    text, so that what they decide is decided when the statement is planned, and not each time it is executed.
    """

    def __init__(self, text: str, types: Mapping[str, str], constants: Mapping[str, Constant] | None = None) -> None:
        self._text, self._types, self._constants = text, types, dict(constants or {})
        self.names = tuple(name for name in dict.fromkeys(_NAMED.findall(text)) if name not in self._constants)
        casts = {name: f"::{type_name}" for type_name, names in types.items() for name in names.split()}
        written = {name: _literal(value) for name, value in self._constants.items()}
        written |= {name: f"${number}" for number, name in enumerate(self.names, start=1)}
        numbered = _NAMED.sub(lambda found: written[found[1]] + casts.get(found[1], ""), _COMMENT.sub("", text))
        self._sql = " ".join(numbered.split()).encode()
        self._columns: tuple[str, ...] = ()

    def given(self, constants: Mapping[str, Constant]) -> "Statement":
        """The same statement for these values of some of its parameters."""
        return Statement(self._text, self._types, {**self._constants, **constants})

    def rows(self, params: Mapping[str, Any]) -> list[Row]:
        """Execute it and return its rows; raises django.db's errors.

        Outside `transaction.atomic` the statement is a transaction of its own (autocommit): one round trip.
        """
        default = _connected()
        with default.wrap_database_errors:
            cursor = RawCursor(default.connection)
            # Binary: psycopg reads times in C then, which as text go through Django's loaders in Python.
            cursor.execute(self._sql, [params[name] for name in self.names], prepare=True, binary=True)
            if not self._columns:
                self._columns = tuple(column.name for column in cursor.description or ())
            return [dict(zip(self._columns, row, strict=True)) for row in cursor.fetchall()]

    def row(self, params: Mapping[str, Any]) -> Row | None:
        """Its only row, or None when the guard did not hold."""
        rows = self.rows(params)
        return rows[0] if rows else None

    def count(self, params: Mapping[str, Any]) -> int:
        """Execute one that returns no rows; how many it changed."""
        default = _connected()
        with default.wrap_database_errors:
            cursor = RawCursor(default.connection)
            cursor.execute(self._sql, [params[name] for name in self.names])
            return cursor.rowcount


def _connected() -> BaseDatabaseWrapper:
    default = connections[DEFAULT_DB_ALIAS]
    default.ensure_connection()
    return default


def _literal(value: Constant) -> str:
    """A value as SQL's text has it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value.total_seconds()} s" if isinstance(value, timedelta) else value
    return "'" + text.replace("'", "''") + "'"


def go_by_index() -> None:
    """From now on each new session of this process finds rows by an index and in no other way, planned once.

    A plan made while the tables were nearly empty reads them whole, and is kept until they are analysed: in a new
    shop's first minutes each job read all steps (measured: twelve times a pipeline, for twice PostgreSQL's time).
    A session that a pooler shares with others keeps no plans and is left as it is.
    """
    wishes.update(enable_seqscan="off", enable_bitmapscan="off")


@cache
def to_array(values: tuple[str, ...]) -> str:
    """A parameter of type text[] that is the same again and again: written out once."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def to_json(value: Any) -> str:
    """A parameter of type jsonb; most are empty."""
    return "{}" if value == {} else json.dumps(value)


def now() -> datetime:
    """The database's time: inside a transaction, that of its beginning."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        at: datetime = cursor.fetchone()[0]
    return at
