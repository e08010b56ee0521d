"""The append-only ledger of what happened outside: the only thing a check may compare the project with."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from sandbox.clock import Clock, rfc3339
from sandbox.provider import Json, Origin
from sandbox.providers.stripe.currencies import charged
from sandbox.store import Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, provider TEXT NOT NULL, effect TEXT, object_id TEXT,
    idempotency_key TEXT, reference TEXT, amount INTEGER, currency TEXT, replayed INTEGER NOT NULL,
    client_saw_answer INTEGER NOT NULL, payment_intent TEXT, category TEXT);
"""
PAGE = 2_000  # entries rendered between two turns of the event loop
COLUMNS = (
    "at, provider, effect, object_id, idempotency_key, reference, amount, currency, replayed, client_saw_answer, "
    "payment_intent, category"
)
INSERT = f"INSERT INTO ledger ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Ledger:
    """Writes inside the transaction of the effect it tells of, so that neither exists without the other."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def record(
        self,
        origin: Origin,
        effect: str,
        object_id: str | None,
        *,
        reference: str | None = None,
        amount: int | None = None,
        currency: str | None = None,
        payment_intent: str | None = None,
        category: str | None = None,
    ) -> None:
        """One entry: `effect` has just happened to `object_id`; `amount` is in the currency's minor unit."""
        values = (effect, object_id, origin.idempotency_key, reference, amount, currency)
        self._insert(origin, values, False, payment_intent, category)

    def record_replay(self, origin: Origin, original: Sequence[int]) -> None:
        """The entries of a request answered from the idempotency layer: those of the first request over again.

        A first request without an effect (an unconfirmed create, a stored 500) is replayed as one entry whose `effect`
        is null.
        """
        if not original:
            self._insert(origin, (None, None, origin.idempotency_key, None, None, None), True, None, None)
        for seq in original:
            row = self._store.one("SELECT * FROM ledger WHERE seq = ?", (seq,))
            if row is not None:
                copied = ("effect", "object_id", "idempotency_key", "reference", "amount", "currency")
                self._insert(origin, tuple(row[name] for name in copied), True, row["payment_intent"], row["category"])

    def _insert(
        self,
        origin: Origin,
        values: tuple[Any, ...],
        replayed: bool,
        payment_intent: str | None,
        category: str | None,
    ) -> None:
        seen = origin.client_saw_answer
        row = (self._clock.now(), origin.provider, *values, replayed, seen, payment_intent, category)
        seq = self._store.execute(INSERT, row).lastrowid
        if seq is not None:
            origin.entries.append(seq)

    def mark_unseen(self, origin: Origin) -> None:
        """The client was gone before the answer to the request that wrote these entries."""
        for seq in origin.entries:
            self._store.execute("UPDATE ledger SET client_saw_answer = 0 WHERE seq = ?", (seq,))

    def pages(self, provider: str | None, since: int) -> Iterator[list[Json]]:
        """Every entry with `seq` greater than `since`, oldest first, in pages for the writer's sake only."""
        while True:
            rows = self._store.all(
                "SELECT * FROM ledger WHERE seq > ? AND (? IS NULL OR provider = ?) ORDER BY seq LIMIT ?",
                (since, provider, provider, PAGE),
            )
            if not rows:
                return
            since = rows[-1]["seq"]
            yield [entry(row) for row in rows]


def entry(row: sqlite3.Row) -> Json:
    """An entry as the ledger shows it; `payment_intent`, `category` and `charged` stand only where they mean something.

    `charged` is the amount as people read it, by the sandbox's own table of currencies.
    """
    shown: Json = {name: row[name] for name in row.keys() if name not in ("payment_intent", "category")}  # noqa: SIM118
    shown["at"] = rfc3339(row["at"])
    shown["replayed"] = bool(row["replayed"])
    shown["client_saw_answer"] = bool(row["client_saw_answer"])
    if row["provider"] == "stripe" and row["amount"] is not None:
        shown["charged"] = charged(row["amount"], row["currency"])
    for name in ("payment_intent", "category"):
        if row[name] is not None:
            shown[name] = row[name]
    return shown


def rendered(pages: Iterator[list[Json]]) -> Iterator[bytes]:
    """The JSON document `{"entries": […]}` piece by piece."""
    separator = b'{"entries": ['
    for page in pages:
        yield separator + ", ".join(map(json.dumps, page)).encode()
        separator = b", "
    yield (b'{"entries": [' if separator[:1] == b"{" else b"") + b"]}"
