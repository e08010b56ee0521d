"""What a step's verb is given: the pipeline's input, what was recorded, and the calls to providers.

A provider call's key and exact parameters are stored before the first send and never rebuilt, so that an
attempt after a crash sends the same bytes under the same key.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from pipeline.states import Verb

# Providers prune idempotency keys after 24 hours at the earliest; from then on only asking is safe.
REPLAY_HORIZON = timedelta(hours=20)


@dataclass(frozen=True, slots=True)
class Call:
    """One provider call, as it was stored before it was first sent."""

    key: str
    params: dict[str, Any]
    generation: int
    first_sent_at: datetime
    is_new: bool  # stored by this attempt: nothing can have happened under its key before

    def is_replayable(self, now: datetime) -> bool:
        """Whether the provider still remembers the key."""
        return now - self.first_sent_at < REPLAY_HORIZON


class Ledger(Protocol):
    """Where a Run writes: the executor's guarded writes. Every method raises LostOwnership when it is too late."""

    def record(self, data: Mapping[str, Any], calls: Mapping[str, Any]) -> None:
        """Merge into the step's data and calls, under the job's fence."""

    def check(self) -> None:
        """Whether this process may begin an effect: lock held, enough of the lease left."""

    def now(self) -> datetime:
        """The database's clock, as far as it is known without asking it."""

    def secret(self, name: str) -> str:
        """Decrypt one of the pipeline's secrets."""

    def attachment(self, name: str) -> bytes:
        """One of the pipeline's attachments."""


@dataclass(kw_only=True, slots=True)
class Run:
    """One attempt of one job, as the verb sees it."""

    pipeline_id: uuid.UUID
    step: str
    verb: Verb
    attempt: int  # of this job, from 1; later ones ask before they act
    input: Mapping[str, Any]
    args: Mapping[str, Any]  # what tells steps of one kind apart
    data: dict[str, Any]  # what this step has recorded so far
    reason: Mapping[str, Any] | None  # why the pipeline turned back, for rollback verbs
    is_cancelled: bool
    created_at: datetime
    calls: dict[str, Any]
    others: Mapping[str, Mapping[str, Any]]
    ledger: Ledger

    @property
    def reference(self) -> str:
        """The pipeline's id as text: our mark on everything that is made at a provider's."""
        return str(self.pipeline_id)

    @property
    def now(self) -> datetime:
        """The database's time, in UTC."""
        return self.ledger.now()

    def of(self, step: str) -> Mapping[str, Any]:
        """What another step of this pipeline has recorded; empty when there is no such step."""
        return self.others.get(step, {})

    def secret(self, name: str) -> str:
        """One of the pipeline's secrets, decrypted."""
        return self.ledger.secret(name)

    def attachment(self, name: str) -> bytes:
        """The bytes that were submitted under that name."""
        return self.ledger.attachment(name)

    def record(self, **data: Any) -> None:
        """Store what is known so far, between two calls: it survives a crash from here on."""
        self.ledger.record(data, {})
        self.data.update(data)

    def check(self) -> None:
        """Raise LostOwnership if this process may not begin an effect any more. `call` does it by itself."""
        self.ledger.check()

    def call(self, name: str, params: Mapping[str, Any] | None = None) -> Call:
        """The call of that name in this verb: stored now, or as an earlier attempt stored it.

        Later attempts get the stored parameters whatever is passed. Use it at once: it also makes sure that
        this process still owns the job.
        """
        if not self.has_called(name, self.verb):
            return self._store(f"{self.verb.value}.{name}", dict(params or {}), generation=1)
        return self.earlier(name, self.verb)

    def has_called(self, name: str, verb: Verb) -> bool:
        """Whether the call was stored, so that it may have been sent."""
        return f"{verb.value}.{name}" in self.calls

    def earlier(self, name: str, verb: Verb) -> Call:
        """A call that was stored before, to replay it: a rollback asks so what staging has made."""
        slot = f"{verb.value}.{name}"
        stored = self.calls[slot]
        self.ledger.check()
        return Call(
            key=self._key(slot, stored["generation"]),
            params=stored["params"],
            generation=stored["generation"],
            first_sent_at=datetime.fromisoformat(stored["first_sent_at"]),
            is_new=False,
        )

    def renew(self, name: str) -> Call:
        """A new generation of the call: only after reading back proved that the last one did nothing."""
        slot = f"{self.verb.value}.{name}"
        stored = self.calls[slot]
        return self._store(slot, stored["params"], generation=stored["generation"] + 1)

    def _store(self, slot: str, params: dict[str, Any], *, generation: int) -> Call:
        self.ledger.check()
        now = self.ledger.now()
        entry = {"params": params, "generation": generation, "first_sent_at": now.isoformat()}
        self.ledger.record({}, {slot: entry})
        self.calls[slot] = entry
        return Call(self._key(slot, generation), params, generation, now, is_new=True)

    def _key(self, slot: str, generation: int) -> str:
        verb, name = slot.split(".", 1)
        return f"{self.pipeline_id}:{self.step}:{verb}:{name}:{generation}"
