"""Running the guarded statements: prepared by the server, on Django's connection, in its transaction if any."""

import json
from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

Row = dict[str, Any]


def run(statement: str, params: Mapping[str, Any]) -> list[Row]:
    """Execute one statement and return its rows; raises django.db's errors.

    Outside `transaction.atomic` the statement is a transaction of its own (autocommit): one round trip.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection, row_factory=dict_row) as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def count(statement: str, params: Mapping[str, Any]) -> int:
    """Execute one statement that returns no rows; the number of rows it changed."""
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, params)
        return cursor.rowcount


def one(statement: str, params: Mapping[str, Any]) -> Row | None:
    """The only row, or None when the guard did not hold."""
    rows = run(statement, params)
    return rows[0] if rows else None


def to_json(value: Any) -> Jsonb:
    """A parameter of type jsonb."""
    return Jsonb(value)


def from_json(value: Any) -> Any:
    """A jsonb column's value: Django's connections hand it over as text."""
    return json.loads(value) if isinstance(value, str) else value
