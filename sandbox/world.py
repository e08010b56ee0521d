"""Everything a handler may touch, in one place: store, clock, ledger, faults and the events to deliver."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sandbox import faults, idempotency, ledger, webhooks
from sandbox.clock import Clock
from sandbox.faults import Faults
from sandbox.keys import Keys
from sandbox.ledger import Ledger
from sandbox.provider import Json, Provider
from sandbox.store import Store
from sandbox.webhooks import Outbox

SHARED_TABLES = ("ledger", "idempotency", "faults", "webhooks")
EMPTY_STATE: Mapping[str, tuple[()]] = dict.fromkeys(
    ("holds", "captures", "objects", "mails", "users", "ledger_transactions"), ()
)


class World:
    """The outside world of one data folder. `generation` rises at each reset, so that what is late stays away."""

    def __init__(self, data: Path, providers: Mapping[str, Provider]) -> None:
        self.providers = providers
        shared = (ledger.SCHEMA, idempotency.SCHEMA, faults.SCHEMA, webhooks.SCHEMA)
        self.store = Store(data / "sandbox.sqlite3", (*shared, *(each.schema for each in providers.values())))
        self.clock = Clock(self.store)
        self.keys = Keys(self.store)
        self.ledger = Ledger(self.store, self.clock)
        self.faults = Faults(self.store, providers)
        self.outbox = Outbox(self.store, self.faults)
        self.in_flight: set[tuple[str, str]] = set()
        self.generation = 0

    def tick(self) -> None:
        """Lets the time that has passed take effect: holds expire."""
        with self.store.transaction():
            for provider in self.providers.values():
                provider.tick(self)

    def advance(self, seconds: float) -> None:
        """Moves the clock on, with all that comes of it."""
        with self.store.transaction():
            self.clock.advance(seconds)
            self.tick()

    def reset(self) -> None:
        """Wipes state, ledger, faults, pending webhooks and the clock; keys and webhook targets stay."""
        with self.store.transaction():
            self.store.empty([*SHARED_TABLES, *(table for each in self.providers.values() for table in each.tables)])
            self.faults.clear()
            self.clock.reset()
        self.in_flight.clear()
        self.generation += 1

    def state(self) -> Json:
        """What exists now, by kind; each provider adds its own."""
        state: Json = {name: list(nothing) for name, nothing in EMPTY_STATE.items()}
        for provider in self.providers.values():
            state |= provider.state(self)
        return state
