"""Fill a database with finished pipelines, their steps, events and postings: `python -m benchmarks.fill COUNT`.

They are copies of one real, committed posting, spread over months, brought in by COPY. Constraints and indexes of
the tables are made anew afterwards: checked as always, and many times faster than row by row.
"""

import argparse
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

SPREAD: Final = timedelta(days=150)  # less than personal data is kept
BATCH: Final = 2_000  # pipelines that are brought in by one COPY for each table
# Each table with the column that names the pipeline, in the order in which their rows may come.
TABLES: Final = {
    "pipeline_pipeline": "id",
    "pipeline_step": "pipeline_id",
    "pipeline_event": "pipeline_id",
    "postings_posting": "pipeline_id",
}
_DROPPED: Final = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE conrelid = ANY(%s::regclass[]) AND contype IN ('f', 'p', 'u')
ORDER BY contype = 'f' DESC, contype = 'u' DESC"""
_INDEXES: Final = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index WHERE indrelid = ANY(%s::regclass[])
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)"""


@dataclass(frozen=True, slots=True)
class Table:
    """One table's rows of the model pipeline, as COPY writes them."""

    name: str
    columns: list[str]
    rows: list[list[str]]

    def copies(self, model: str, pipeline: str, changed: Mapping[str, str]) -> str:
        """The rows of another pipeline: its id wherever the model's stands, and some columns changed."""
        lines = []
        for row in self.rows:
            cells = [changed.get(column, cell) for column, cell in zip(self.columns, row, strict=True)]
            lines.append("\t".join(cells).replace(model, pipeline))
        return "\n".join(lines) + "\n"


def fill(database: str, model: uuid.UUID, count: int) -> float:
    """So many copies of the model, a committed pipeline of that database; the seconds that it took."""
    began = time.monotonic()
    with psycopg.connect(database, autocommit=True) as connection:
        tables = [_table(connection, name, column, model) for name, column in TABLES.items()]
        with _without_indexes(connection):
            for first in range(0, count, BATCH):
                _bring_in(connection, tables, str(model), range(first, min(first + BATCH, count)), count)
        connection.execute("VACUUM (ANALYZE) " + ", ".join(TABLES))
    return time.monotonic() - began


def _table(connection: psycopg.Connection[Any], name: str, column: str, model: uuid.UUID) -> Table:
    asked = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
    columns = [row[0] for row in connection.execute(asked, [name])]
    columns = [one for one in columns if not (one == "id" and name == "pipeline_step")]  # its own sequence's
    chosen = sql.SQL(", ").join(map(sql.Identifier, columns))
    of_model = sql.SQL("COPY (SELECT {} FROM {} WHERE {} = {}) TO STDOUT").format(
        chosen, sql.Identifier(name), sql.Identifier(column), sql.Literal(str(model))
    )
    with connection.cursor() as cursor, cursor.copy(of_model) as copy:
        text = b"".join(bytes(part) for part in copy).decode()
    return Table(name, columns, [line.split("\t") for line in text.splitlines()])


def _bring_in(connection: psycopg.Connection[Any], tables: list[Table], model: str, numbers: range, count: int) -> None:
    """One batch, in one transaction, the oldest pipelines first."""
    ids = {number: _id(number, count) for number in numbers}
    with connection.transaction(), connection.cursor() as cursor:
        for table in tables:
            chosen = sql.SQL(", ").join(map(sql.Identifier, table.columns))
            into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), chosen)
            with cursor.copy(into) as copy:
                for number, (pipeline, at) in ids.items():
                    copy.write(table.copies(model, pipeline, _changed(table.name, number, at)))


def _id(number: int, count: int) -> tuple[str, datetime]:
    """A UUIDv7 of its time, as a pipeline's is, and the time."""
    at = datetime.now(UTC) - SPREAD * (count - number) / count
    value = (int(at.timestamp() * 1000) << 80) | 0x7 << 76 | 0b10 << 62 | uuid.uuid4().int % 2**62
    return str(uuid.UUID(int=value)), at


def _changed(table: str, number: int, at: datetime) -> dict[str, str]:
    """What tells a copy from its model, beside the pipeline's id."""
    time_of = at.isoformat()
    if table == "pipeline_pipeline":
        return {"key": f"fill-{number}", "created_at": time_of, "updated_at": time_of, "finished_at": time_of}
    if table == "postings_posting":
        ends = at + timedelta(days=30)
        own = {"id": str(uuid.uuid4()), "slug": f"fill-{number}", "expires_at": ends.isoformat()}
        if ends < datetime.now(UTC):  # taken down, as it would be: nothing is left to do
            own |= {"state": "expired", "ended_by": str(uuid.uuid4()), "ended_at": ends.isoformat()}
        return own | {"created_at": time_of, "published_at": time_of}
    return {"at": time_of}


@contextmanager
def _without_indexes(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Take constraints and indexes off, and put them on again, whatever happens."""
    tables = [list(TABLES)]
    constraints = connection.execute(_DROPPED, tables).fetchall()
    indexes = connection.execute(_INDEXES, tables).fetchall()
    others = _pointing_at(connection)
    for table, name, _ in [*others, *constraints]:
        connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    try:
        yield
    finally:
        connection.execute("SET maintenance_work_mem = '512MB'")
        for table, name, definition in [*reversed(constraints), *others]:
            connection.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
        for _, definition in indexes:
            connection.execute(definition)


def _pointing_at(connection: psycopg.Connection[Any]) -> list[tuple[str, str, str]]:
    """Foreign keys of other tables to these."""
    asked = """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE contype = 'f' AND confrelid = ANY(%(tables)s::regclass[])
          AND NOT conrelid = ANY(%(tables)s::regclass[])"""
    return connection.execute(asked, {"tables": list(TABLES)}).fetchall()


def main() -> int:
    """Fill the database of DATABASE_URL; 1 when it has no committed posting to copy."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fill", description=__doc__)
    parser.add_argument("count", type=int, help="how many pipelines")
    count = parser.parse_args().count
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        asked = "SELECT id FROM pipeline_pipeline WHERE workflow = 'publish_posting' AND state = 'committed' LIMIT 1"
        model = connection.execute(asked).fetchone()
    if model is None:
        print("There is no committed posting to copy: submit one first (make demo does).", file=sys.stderr)
        return 1
    print(f"{count} pipelines in {fill(os.environ['DATABASE_URL'], model[0], count):.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
