"""Telling the project of events: written with the effect, delivered by a background task until answered with 2xx."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import urllib3

from sandbox.faults import Faults
from sandbox.provider import Provider
from sandbox.store import Store

if TYPE_CHECKING:
    from sandbox.world import World

SCHEMA = """
CREATE TABLE IF NOT EXISTS webhooks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, type TEXT NOT NULL, payload BLOB NOT NULL,
    made_at REAL NOT NULL, due_at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS webhooks_due ON webhooks (provider, due_at, id);
"""
TIMEOUT = urllib3.Timeout(connect=2.0, read=10.0)
LONGEST_BACKOFF = 60.0  # seconds between two attempts
FIRST_BACKOFF = 0.5
GIVEN_UP_AFTER = timedelta(days=3)  # as Stripe; by the machine's clock, like every delay here
log = logging.getLogger("sandbox.webhooks")


class BadTarget(ValueError):
    """A webhook target that is no http(s) URL."""


class Outbox:
    """The events still to be delivered, and where to. Without a target nothing is kept for delivery."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        self.listeners: list[asyncio.Event] = []

    def target(self, provider: str) -> str | None:
        return self._store.setting(f"webhooks.{provider}")

    def set_target(self, provider: str, url: object) -> None:
        """Raises BadTarget when `url` is neither None nor an http(s) URL."""
        if url is not None and (not isinstance(url, str) or not url.startswith(("http://", "https://"))):
            raise BadTarget(f"the target of {provider} must be an http:// or https:// URL, or null")
        self._store.set(f"webhooks.{provider}", None if url is None else str(url))
        self._wake()

    def put(self, provider: str, event_type: str, payload: bytes) -> None:
        """Queues one event, as the webhook faults will have it: once, twice, held back (`seconds`) or never."""
        if self.target(provider) is None:
            return
        verdict = self._faults.for_event(provider, event_type)
        if verdict.kind == "webhook_lost":
            return
        now = time.time()
        due = now + (verdict.seconds if verdict.kind == "webhook_reorder" else 0)
        for _ in range(2 if verdict.kind == "webhook_duplicate" else 1):
            self._store.execute(
                "INSERT INTO webhooks (provider, type, payload, made_at, due_at) VALUES (?, ?, ?, ?, ?)",
                (provider, event_type, payload, now, due),
            )
        self._wake()

    def _wake(self) -> None:
        for listener in self.listeners:
            listener.set()

    def due(self, provider: str, limit: int) -> list[tuple[int, bytes, int]]:
        """The oldest due events as (id, payload, attempts)."""
        rows = self._store.all(
            "SELECT id, payload, attempts FROM webhooks WHERE provider = ? AND due_at <= ? ORDER BY due_at, id LIMIT ?",
            (provider, time.time(), limit),
        )
        return [(row["id"], bytes(row["payload"]), row["attempts"]) for row in rows]

    def seconds_to_next(self, provider: str) -> float | None:
        row = self._store.one("SELECT min(due_at) AS due_at FROM webhooks WHERE provider = ?", (provider,))
        return None if row is None or row["due_at"] is None else max(0.0, row["due_at"] - time.time())

    def delivered(self, ids: list[int]) -> None:
        for each in ids:
            self._store.execute("DELETE FROM webhooks WHERE id = ?", (each,))

    def failed(self, events: list[tuple[int, bytes, int]]) -> None:
        """Puts the events off, each time for twice as long."""
        now = time.time()
        for each, _, attempts in events:
            delay = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(attempts, 10))
            self._store.execute(
                "UPDATE webhooks SET attempts = attempts + 1, due_at = ? WHERE id = ?", (now + delay, each)
            )
        self._store.execute("DELETE FROM webhooks WHERE made_at < ?", (now - GIVEN_UP_AFTER.total_seconds(),))


async def deliver(world: World, provider: Provider) -> None:
    """Delivers one provider's events for ever, in the order in which they fall due."""
    rules = provider.webhooks
    if rules is None:
        return
    pool = urllib3.PoolManager(maxsize=1, retries=False, timeout=TIMEOUT)
    wake = asyncio.Event()
    world.outbox.listeners.append(wake)
    while True:
        wake.clear()
        url = world.outbox.target(provider.name)
        events = world.outbox.due(provider.name, rules.batch_size) if url else []
        if url and events:
            body = rules.join([payload for _, payload, _ in events])
            headers = {"content-type": "application/json", **rules.sign(world, body)}
            if await asyncio.to_thread(_post, pool, url, body, headers):
                world.outbox.delivered([each for each, _, _ in events])
            else:
                world.outbox.failed(events)
            continue
        with suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), world.outbox.seconds_to_next(provider.name) if url else None)


def _post(pool: urllib3.PoolManager, url: str, body: bytes, headers: dict[str, str]) -> bool:
    """Whether the target answered with 2xx."""
    try:
        answer = pool.request("POST", url, body=body, headers=headers, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        log.info("webhook to %s failed: %s", url, error)
        return False
    return 200 <= answer.status < 300
