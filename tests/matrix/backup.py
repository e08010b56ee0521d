"""A dump of the project's tables at any moment, and its restoring: what is committed by then, and nothing newer."""

from contextlib import closing
from typing import Any

from django.db import connection

# The owners' ids and the circuits belong to the running processes and to the providers.
_TABLES = (
    "pipeline_pipeline",
    "pipeline_step",
    "pipeline_event",
    "pipeline_attachment",
    "pipeline_inbox",
    "pipeline_finding",
    "postings_posting",
)

Backup = dict[str, bytes]


def dump() -> Backup:
    """By a connection of its own, so that an open transaction is not in it."""
    with closing(connection.copy()) as other:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return {table: _read(cursor, table) for table in _TABLES}


def restore(backup: Backup) -> None:
    """In place of what is there."""
    with closing(connection.copy()) as other:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            for table in reversed(_TABLES):
                cursor.execute(f"DELETE FROM {table}")
            for table, rows in backup.items():
                with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                    copy.write(rows)
        other.commit()


def _read(cursor: Any, table: str) -> bytes:
    with cursor.copy(f"COPY {table} TO STDOUT") as copy:
        return b"".join(bytes(block) for block in copy)
