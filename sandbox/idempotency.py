"""What providers remember of a request by its idempotency key: same key, same parameters, same answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call, IdempotencyRules

if TYPE_CHECKING:
    from sandbox.world import World

SCHEMA = """
CREATE TABLE IF NOT EXISTS idempotency (
    provider TEXT NOT NULL, key TEXT NOT NULL, path TEXT NOT NULL, fingerprint TEXT NOT NULL, request_id TEXT NOT NULL,
    status INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL, effects TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (provider, key));
"""
Slot = tuple[str, str]  # provider and key


def key_of(rules: IdempotencyRules | None, call: Call) -> str | None:
    """The key under which this request is remembered, or None when it is not."""
    if rules is None or call.method not in rules.methods:
        return None
    return call.headers.get(rules.header) or None


def slot(rules: IdempotencyRules | None, call: Call) -> Slot | None:
    """Where the request is remembered: provider and key, the key with its owner before it where it has one."""
    key = call.origin.idempotency_key
    if rules is None or key is None:
        return None
    scope = rules.scope(call)
    return call.origin.provider, f"{scope} {key}" if scope else key


def recall(world: World, rules: IdempotencyRules, call: Call, where: Slot) -> Answer | None:
    """The stored answer, replayed into the ledger; a mismatch or in-use answer; None when the key is new."""
    if where in world.in_flight:
        return rules.in_use(call)
    row = world.store.one("SELECT * FROM idempotency WHERE provider = ? AND key = ?", where)
    if row is None:
        return None
    if row["at"] <= world.clock.now() - rules.remembered_for.total_seconds():
        world.store.execute("DELETE FROM idempotency WHERE provider = ? AND key = ?", where)
        return None
    if rules.mismatch is not None and row["fingerprint"] != rules.fingerprint(call):
        return rules.mismatch(call, row["path"])
    world.ledger.record_replay(call.origin, json.loads(row["effects"]))
    headers = {**json.loads(row["headers"]), **rules.replay_headers(call, row["request_id"])}
    return Answer(row["status"], row["body"], headers)


def keep(world: World, rules: IdempotencyRules, call: Call, where: Slot, answer: Answer) -> None:
    """Stores the answer, errors that the provider keeps included, in the transaction of its effects."""
    world.store.execute(
        "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *where,
            call.path,
            rules.fingerprint(call),
            call.request_id,
            answer.status,
            json.dumps(dict(answer.headers)),
            answer.body,
            json.dumps(call.origin.entries),
            world.clock.now(),
        ),
    )
