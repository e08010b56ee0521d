"""Running the guarded statements: prepared by the server, on Django's connection, in its transaction if any."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

from django.db import connection
from psycopg import RawCursor
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

Row = dict[str, Any]

_NAMED: Final = re.compile(r"%\((\w+)\)s")
_COMMENT: Final = re.compile(r"^\s*--.*$", re.MULTILINE)


class Statement:
    """SQL with named parameters, translated to PostgreSQL's own numbered ones once instead of at each execution.

    `types` says of which type some parameters are: type to names, as one text.
    """

    def __init__(self, text: str, types: Mapping[str, str]) -> None:
        self.names = tuple(dict.fromkeys(_NAMED.findall(text)))
        casts = {name: f"::{type_name}" for type_name, names in types.items() for name in names.split()}
        numbers = {name: f"${number}{casts.get(name, '')}" for number, name in enumerate(self.names, start=1)}
        numbered = _NAMED.sub(lambda found: numbers[found[1]], _COMMENT.sub("", text))
        self._sql = " ".join(numbered.split()).encode()

    def rows(self, params: Mapping[str, Any]) -> list[Row]:
        """Execute it and return its rows; raises django.db's errors.

        Outside `transaction.atomic` the statement is a transaction of its own (autocommit): one round trip.
        """
        connection.ensure_connection()
        with connection.wrap_database_errors, RawCursor(connection.connection, row_factory=dict_row) as cursor:
            cursor.execute(self._sql, [params[name] for name in self.names])
            return cursor.fetchall()

    def row(self, params: Mapping[str, Any]) -> Row | None:
        """Its only row, or None when the guard did not hold."""
        rows = self.rows(params)
        return rows[0] if rows else None

    def count(self, params: Mapping[str, Any]) -> int:
        """Execute one that returns no rows; how many it changed."""
        connection.ensure_connection()
        with connection.wrap_database_errors, RawCursor(connection.connection) as cursor:
            cursor.execute(self._sql, [params[name] for name in self.names])
            return cursor.rowcount


@cache
def to_array(values: tuple[str, ...]) -> str:
    """A parameter of type text[] that is the same again and again: written out once."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def to_json(value: Any) -> Jsonb:
    """A parameter of type jsonb."""
    return Jsonb(value)


def from_json(value: Any) -> Any:
    """A jsonb column's value: Django's connections hand it over as text."""
    return json.loads(value) if isinstance(value, str) else value


def now() -> datetime:
    """The database's time: inside a transaction, that of its beginning."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        at: datetime = cursor.fetchone()[0]
    return at
