"""Where ledgers, accounts and transactions are kept: JSON bodies, beside them the columns that are searched."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from sandbox.clock import rfc3339
from sandbox.provider import Answer, Json, compact
from sandbox.providers.modern_treasury.errors import not_found

if TYPE_CHECKING:
    from sandbox.world import World

# An account's sums are kept beside its body: `pending_…` counts what is pending alone, in minor units.
SCHEMA = """
CREATE TABLE IF NOT EXISTS modern_treasury_objects (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, ledger_id TEXT, external_id TEXT,
    status TEXT, reference TEXT, body TEXT NOT NULL,
    posted_debits INTEGER NOT NULL DEFAULT 0, posted_credits INTEGER NOT NULL DEFAULT 0,
    pending_debits INTEGER NOT NULL DEFAULT 0, pending_credits INTEGER NOT NULL DEFAULT 0,
    lock_version INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS modern_treasury_kinds ON modern_treasury_objects (kind, seq);
CREATE INDEX IF NOT EXISTS modern_treasury_references ON modern_treasury_objects (reference);
CREATE INDEX IF NOT EXISTS modern_treasury_by_external_id ON modern_treasury_objects (external_id, kind);
CREATE UNIQUE INDEX IF NOT EXISTS modern_treasury_external_ids ON modern_treasury_objects (kind, ledger_id, external_id)
    WHERE status IN ('pending', 'posted') OR kind = 'ledger_account';
CREATE TABLE IF NOT EXISTS modern_treasury_entries (
    transaction_id TEXT NOT NULL, account_id TEXT NOT NULL, PRIMARY KEY (account_id, transaction_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS modern_treasury_versions (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, transaction_id TEXT NOT NULL, version INTEGER NOT NULL,
    body TEXT NOT NULL, UNIQUE (transaction_id, version));
"""
TABLES = ("modern_treasury_objects", "modern_treasury_entries", "modern_treasury_versions")
REFERENCE = "pipeline_id"  # the metadata that becomes the ledger's `reference`


def fresh(world: World, kind: str) -> Json:
    """What every object of Modern Treasury begins with."""
    now = rfc3339(world.clock.now())
    return {"id": str(uuid.uuid4()), "object": kind, "live_mode": False, "created_at": now, "updated_at": now}


def insert(world: World, body: Json) -> None:
    world.store.execute(
        "INSERT INTO modern_treasury_objects (id, kind, ledger_id, external_id, status, reference, body) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (body["id"], body["object"], *_columns(body), compact(body)),
    )


def update(world: World, body: Json) -> None:
    """Writes a changed body over the old one."""
    body["updated_at"] = rfc3339(world.clock.now())
    world.store.execute(
        "UPDATE modern_treasury_objects SET ledger_id = ?, external_id = ?, status = ?, reference = ?, body = ? "
        "WHERE id = ?",
        (*_columns(body), compact(body), body["id"]),
    )


def _columns(body: Json) -> tuple[str | None, ...]:
    return body.get("ledger_id"), body.get("external_id"), body.get("status"), body["metadata"].get(REFERENCE)


def load(world: World, kind: str, object_id: str) -> Json:
    """Raises Refused with 404 when there is none."""
    row = world.store.one("SELECT body FROM modern_treasury_objects WHERE id = ? AND kind = ?", (object_id, kind))
    if row is None:
        raise not_found(kind.replace("_", " "), object_id)
    body: Json = json.loads(row["body"])
    return body


def exists(world: World, kind: str, object_id: object) -> bool:
    row = world.store.one("SELECT 1 FROM modern_treasury_objects WHERE id = ? AND kind = ?", (str(object_id), kind))
    return row is not None


def external_id_taken(world: World, body: Json) -> bool:
    """Whether another object that is not archived has this external id in the same ledger."""
    row = world.store.one(
        "SELECT 1 FROM modern_treasury_objects WHERE external_id = ? AND kind = ? AND ledger_id = ? AND id != ? "
        "AND status IS NOT 'archived'",
        (body["external_id"], body["object"], body["ledger_id"], body["id"]),
    )
    return row is not None


def answer(body: Json, status: int = 200) -> Answer:
    return Answer(status, compact(body).encode(), {"content-type": "application/json"})
