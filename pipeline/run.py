"""What a step's verb is given: the pipeline's input, what was recorded, and the calls to providers.

A provider call's key and exact parameters are stored before the first send and never rebuilt, so that an
attempt after a crash sends the same bytes under the same key.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

from pipeline.errors import Refused, Unavailable
from pipeline.states import Verb

T = TypeVar("T")

# Providers prune idempotency keys after 24 hours at the earliest; from then on only asking is safe.
REPLAY_HORIZON = timedelta(hours=20)

# What is stored as a call's `answer`, when the provider said that it did nothing.
_NOTHING: Final = "nothing"  # and no earlier sending can have done anything
_REFUSED: Final = "refused"  # but an earlier sending may have: look it up, do not send it again


@dataclass(frozen=True, slots=True)
class Call:
    """One provider call, as it was stored before it was first sent."""

    key: str
    params: dict[str, Any]
    generation: int
    first_sent_at: datetime
    is_new: bool  # stored by this attempt: nothing can have happened under its key before
    slot: str = ""  # where it is stored: its verb and name
    is_refused: bool = False  # the provider refused it; an earlier sending may have done it all the same

    def is_replayable(self, now: datetime) -> bool:
        """Whether sending it again tells what it did: the provider still remembers the key and did not refuse it."""
        return not self.is_refused and now - self.first_sent_at < REPLAY_HORIZON


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
    is_restored: bool = False  # the database is, or may be, restored from a backup: calls of this step may be lost

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

        Later attempts get the stored parameters whatever is passed. A call that is known to have made nothing gets a
        new generation: providers replay a stored refusal. Use it at once: it also makes sure that this process still
        owns the job.
        """
        slot = f"{self.verb.value}.{name}"
        stored = self.calls.get(slot)
        if stored is None:
            return self._store(slot, {"params": dict(params or {}), "generation": 1})
        if stored.get("answer") == _NOTHING:
            return self._store(slot, _next(stored))
        return self.earlier(name, self.verb)

    def send(self, call: Call, act: Callable[[Call], T]) -> T:
        """`act(call)`, once an attempt. Refused and Unavailable say that the provider did nothing: that is stored."""
        try:
            return act(call)
        except Refused:
            self.was_refused(call)
            raise
        except Unavailable:
            if self._is_certain(call):
                self.was_refused(call)
            raise

    def was_refused(self, call: Call) -> None:
        """Store that the provider did nothing for this sending. For what only reading back showed; else use `send`."""
        answer = _NOTHING if self._is_certain(call) else _REFUSED
        self._write(call.slot, self.calls[call.slot] | {"answer": answer})

    def has_called(self, name: str, verb: Verb) -> bool:
        """Whether the call was stored, so that it may have been sent."""
        return f"{verb.value}.{name}" in self.calls

    def may_have_made(self, name: str, verb: Verb) -> bool:
        """Whether the call may have done anything: stored, and not known to have made nothing."""
        stored = self.calls.get(f"{verb.value}.{name}")
        return stored is not None and (self.is_restored or stored.get("answer") != _NOTHING)

    def may_have_made_something(self) -> bool:
        """Whether any call of this step may have done anything."""
        return self.is_restored or any(stored.get("answer") != _NOTHING for stored in self.calls.values())

    def recover(self, name: str, *, replay: Callable[[Call], T | None], find: Callable[[], T | None]) -> T | None:
        """For the rollback: the thing that staging's call made although its answer was lost, or None.

        A call that is known to have made nothing is left alone. Otherwise it is sent again while that tells what it
        did (`replay`; None and Refused tell nothing), or looked up (`find`). A refused call is not sent again.
        """
        if not self.has_called(name, Verb.STAGE) and self.is_restored:
            return find()
        if not self.may_have_made(name, Verb.STAGE):
            return None
        call = self.earlier(name, Verb.STAGE)
        made: T | None = None
        if call.is_replayable(self.now):
            try:
                made = replay(call)
            except Refused:
                self.was_refused(call)
        return made if made is not None else find()

    def earlier(self, name: str, verb: Verb) -> Call:
        """A call that was stored before, to replay it: a rollback asks so what staging has made."""
        slot = f"{verb.value}.{name}"
        self.ledger.check()
        return self._call(slot, is_new=False)

    def renew(self, name: str) -> Call:
        """A new generation of the call: only after reading back proved that the last one did nothing."""
        slot = f"{self.verb.value}.{name}"
        return self._store(slot, _next(self.calls[slot]))

    def _store(self, slot: str, entry: dict[str, Any]) -> Call:
        self.ledger.check()
        self._write(slot, entry | {"first_sent_at": self.ledger.now().isoformat()})
        return self._call(slot, is_new=True)

    def _write(self, slot: str, entry: dict[str, Any]) -> None:
        self.ledger.record({}, {slot: entry})
        self.calls[slot] = entry

    def _call(self, slot: str, *, is_new: bool) -> Call:
        stored = self.calls[slot]
        verb, name = slot.split(".", 1)
        return Call(
            key=f"{self.pipeline_id}:{self.step}:{verb}:{name}:{stored['generation']}",
            params=stored["params"],
            generation=stored["generation"],
            first_sent_at=datetime.fromisoformat(stored["first_sent_at"]),
            is_new=is_new,
            is_refused="answer" in stored,
            slot=slot,
        )

    def _is_certain(self, call: Call) -> bool:
        """Whether this sending is the only one that can have done anything."""
        return call.is_new and not self.calls[call.slot].get("is_doubtful", False)


def _next(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The next generation. It is doubtful if an earlier one may still make something."""
    entry = {"params": stored["params"], "generation": stored["generation"] + 1}
    return entry if stored.get("answer") == _NOTHING else entry | {"is_doubtful": True}
