"""Stripe's objects as rows: the whole resource as JSON, beside it only what is searched by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox.provider import Json, compact, new_id

if TYPE_CHECKING:
    from sandbox.world import World

SCHEMA = """
CREATE TABLE IF NOT EXISTS stripe_objects (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, created INTEGER NOT NULL,
    status TEXT, reference TEXT, card TEXT, expires_at INTEGER, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS stripe_objects_reference ON stripe_objects (reference) WHERE reference IS NOT NULL;
CREATE INDEX IF NOT EXISTS stripe_objects_expires ON stripe_objects (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS stripe_uses (payment_method TEXT PRIMARY KEY, intent TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stripe_events (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, created INTEGER NOT NULL,
    body TEXT NOT NULL);
"""
TABLES = ("stripe_objects", "stripe_events", "stripe_uses")
REFERENCE = "pipeline_id"  # the metadata key that becomes the ledger's `reference`


def insert(world: World, resource: Json, *, card: str | None = None, expires_at: int | None = None) -> None:
    world.store.execute(
        "INSERT INTO stripe_objects (id, kind, created, status, reference, card, expires_at, body) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            resource["id"],
            resource["object"],
            resource["created"],
            resource.get("status"),
            _searched_by(resource),
            card,
            expires_at,
            compact(resource),
        ),
    )


def update(world: World, resource: Json, *, expires_at: int | None = None) -> None:
    """Writes the resource back; `expires_at` is when a hold ends, None for what does not end."""
    world.store.execute(
        "UPDATE stripe_objects SET status = ?, reference = ?, expires_at = ?, body = ? WHERE id = ?",
        (resource.get("status"), _searched_by(resource), expires_at, compact(resource), resource["id"]),
    )


def _searched_by(resource: Json) -> str | None:
    return reference_of(resource) if resource["object"] == "payment_intent" else None


def load(world: World, kind: str, object_id: str | None) -> Json | None:
    row = world.store.one("SELECT body FROM stripe_objects WHERE id = ? AND kind = ?", (object_id, kind))
    if row is None:
        return None
    resource: Json = json.loads(row["body"])
    return resource


def reference_of(resource: Json) -> str | None:
    value: str | None = resource["metadata"].get(REFERENCE)
    return value or None


def stripe_id(prefix: str) -> str:
    return new_id(f"{prefix}_3")
