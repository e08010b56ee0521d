"""The one SQLite file that holds everything the stand-ins know, so that all of it survives a kill -9.

All access is from the event loop's thread: a request is one transaction without an await inside, hence serial.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class Store:
    """A connection in WAL mode. `synchronous=OFF`: a killed process loses nothing, only a machine that fails could."""

    def __init__(self, path: Path, schemas: Sequence[str]) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=512)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=OFF", "wal_autocheckpoint=4000", "cache_size=-65536"):
            self._connection.execute(f"PRAGMA {pragma}")
        for schema in (SCHEMA, *schemas):
            self._connection.executescript(schema)
        self.execute = self._connection.execute

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.execute(sql, parameters).fetchone()
        return row

    def all(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        return self.execute(sql, parameters).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits at the end, rolls back on an exception; inside another transaction it joins that one."""
        if self._connection.in_transaction:
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def setting(self, name: str) -> str | None:
        row = self.one("SELECT value FROM settings WHERE name = ?", (name,))
        return None if row is None else str(row["value"])

    def set(self, name: str, value: str | None) -> None:
        if value is None:
            self.execute("DELETE FROM settings WHERE name = ?", (name,))
        else:
            self.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, value))

    def empty(self, tables: Sequence[str]) -> None:
        """Deletes every row of `tables`."""
        for table in tables:
            self.execute(f"DELETE FROM {table}")

    def close(self) -> None:
        self._connection.close()
