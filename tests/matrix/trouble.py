"""Arms troubles: at the engine's crash points, around the requests to providers, and around the record's COMMIT."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import pytest
from django.db import DEFAULT_DB_ALIAS, connection, connections

from pipeline import crashpoints, statements, tasks
from pipeline.db import Statement
from pipeline.plan import Job
from pipeline.states import RUNNING
from pipeline.sweep import sweep_once
from pipeline.testing import InjectedFailure, Killed, ScriptedBroker, Worker, advance, clock, together
from pipeline.testing.faults import LostAcknowledgement, die
from pipeline.workflow import StepFailure
from postings.providers import mail, storage, stripe
from postings.steps.email import EmailStep
from postings.steps.ending import WithdrawStep
from postings.steps.posting import PostingStep
from tests.matrix.points import Kind, Point, Trouble
from tests.sandbox.conftest import Sandbox

# The function that sends each request, and its route in the sandbox.
REQUESTS: Final[dict[str, tuple[Any, str, str, str]]] = {
    "put": (storage, "put_new", "s3", "objects.put"),
    "delete": (storage, "delete", "s3", "objects.delete"),
    "create": (stripe, "create", "stripe", "payment_intents.create"),
    "confirm": (stripe, "confirm", "stripe", "payment_intents.confirm"),
    "capture": (stripe, "capture", "stripe", "payment_intents.capture"),
    "cancel": (stripe, "cancel", "stripe", "payment_intents.cancel"),
    "refund": (stripe, "refund", "stripe", "refunds.create"),
    "send": (mail, "send", "sendgrid", "mail.send"),
}
# Verbs whose effects need no provider.
OWN_VERBS: Final = (
    *((kind, verb) for kind in (PostingStep, WithdrawStep) for verb in ("stage", "commit", "rollback")),
    (EmailStep, "stage"),
)
RECORDS: Final = {each._text for each in (statements.ADVANCE, statements.FAIL, statements.WAIT, statements.TURN_BACK)}
_PAST_GOING_ON = 6.0  # seconds: a worker whose task is older leaves the next link to others
_PAST_THE_LEASE = timedelta(seconds=61)


@dataclass
class Armed:
    """The troubles of one run. `struck` are those that happened, in order; each happens once, in one thread."""

    sandbox: Sandbox
    broker: ScriptedBroker
    other: Worker
    troubles: list[Trouble] = field(default_factory=list)
    struck: list[Trouble] = field(default_factory=list)
    pipeline: Any = None
    on_place: dict[str, Callable[[], None]] = field(default_factory=dict)
    # What is wrong outside at the moment of a trouble. Kept for the end: a verb that raises is only tried again.
    look: Callable[[Any], list[str]] = lambda pipeline: []
    wrong: list[str] = field(default_factory=list)
    faults: int = 0
    _committing: dict[int, Trouble] = field(default_factory=dict)  # by thread: each has a transaction of its own

    def begin(self, troubles: list[Trouble]) -> None:
        """Forget the last run and wait for these."""
        self.troubles, self.struck, self.wrong, self.on_place = list(troubles), [], [], {}
        self.pipeline = None
        self._committing.clear()

    def end(self) -> None:
        """From here on nothing goes wrong."""
        self.troubles, self.on_place = [], {}
        self._committing.clear()
        if self.faults:
            self.sandbox.http.delete("/_sandbox/faults").raise_for_status()
            self.faults = 0

    # --- the places -----------------------------------------------------------------------------

    def at_place(self, place: str) -> None:
        """The hook of the engine's crash points."""
        if place.endswith(".due") and any(trouble.point == Point.DUE for trouble in self.troubles):
            # Only a worker that has run out of time leaves the next job to a message, hence to a claim of its own.
            clock._workers.passed += _PAST_GOING_ON
        if act := self.on_place.pop(place, None):
            act()
        for trouble in self._waiting(lambda each: each.place == place):
            self._strike(trouble)
        for trouble in self._waiting(lambda each: each.effect.is_local and each.point == Point.ACK_LOST):
            if place == f"{trouble.effect.step}.{trouble.effect.verb}.effect":
                self._committing[threading.get_ident()] = trouble

    def around_request(self, name: str, send: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A request to a provider: it, or its answer, may be lost."""
        for trouble in self._waiting(lambda each: each.effect.request == name, Point.REQUEST_LOST, Point.ANSWER_LOST):
            return self._lose(trouble, lambda: send(*args, **kwargs))
        return send(*args, **kwargs)

    def around_verb(self, step: str, verb: str, run: Callable[[], Any]) -> Any:
        """An effect in this database: p3 is before it, p4 after it, both before its record."""

        def is_here(trouble: Trouble) -> bool:
            return (trouble.effect.step, trouble.effect.verb, trouble.effect.request) == (step, verb, "")

        for trouble in self._waiting(is_here, Point.REQUEST_LOST):
            self._strike(trouble)
        outcome = run()
        for trouble in self._waiting(is_here, Point.ANSWER_LOST):
            self._strike(trouble)
        return outcome

    def after_record(self, params: Any) -> None:
        """The record of a job outside a transaction has been committed."""

        def is_here(trouble: Trouble) -> bool:
            effect = trouble.effect
            return (params.get("step"), params.get("running")) == (effect.step, RUNNING[effect.verb].value)

        if not connection.in_atomic_block:
            for trouble in self._waiting(is_here, Point.ACK_LOST):
                self._strike(trouble)

    def after_commit(self) -> None:
        """A transaction has been committed: perhaps that of a local step."""
        trouble = self._committing.pop(threading.get_ident(), None)
        if trouble is not None and trouble in self.troubles:
            self._strike(trouble)

    def _waiting(self, is_here: Callable[[Trouble], bool], *points: Point) -> Iterator[Trouble]:
        """Asked one by one: while one strikes, others may, to the workers that act meanwhile."""
        for each in list(self.troubles):
            if each in self.troubles and is_here(each) and (not points or each.point in points):
                yield each

    # --- what happens there ---------------------------------------------------------------------

    def _strike(self, trouble: Trouble) -> None:
        self._happens(trouble)
        match trouble.kind:
            case Kind.CRASH:
                die()
            case Kind.EXCEPTION if trouble.point == Point.ACK_LOST:
                connection.connection.close()
                raise LostAcknowledgement("server closed the connection unexpectedly")
            case Kind.EXCEPTION:
                raise InjectedFailure(str(trouble))
            case _:
                self._others_act(trouble)

    def _lose(self, trouble: Trouble, send: Callable[[], Any]) -> Any:
        """Lose the request or the answer; or let others act while it is under way."""
        is_before = trouble.point == Point.REQUEST_LOST
        self._happens(trouble)
        if trouble.kind in (Kind.DUPLICATE, Kind.ZOMBIE):
            if is_before:
                self._others_act(trouble)
                return send()
            answer = send()
            self._others_act(trouble)
            return answer
        _, _, provider, route = REQUESTS[trouble.effect.request]
        self.sandbox.fault(provider, "drop_before" if is_before else "drop_after", route=route, times=1)
        self.faults += 1
        try:
            send()
        except StepFailure:
            if trouble.kind == Kind.CRASH:
                die()
            raise
        self.wrong.append(f"{trouble}: the request was answered")
        return None

    def _happens(self, trouble: Trouble) -> None:
        self.troubles.remove(trouble)
        self.struck.append(trouble)
        if connection.in_atomic_block or connection.get_autocommit():  # else between COMMIT and the next statement
            self.wrong += self.look(self.pipeline)

    def _others_act(self, trouble: Trouble) -> None:
        if connection.in_atomic_block or not connection.get_autocommit():
            together(lambda: self._act(trouble))  # a connection of its own: this one is in a transaction
        else:
            with self.other.acting():
                self._act(trouble)

    def _act(self, trouble: Trouble) -> None:
        """Another worker: the same message again and all that waits, perhaps after the first one's lease."""
        if trouble.kind == Kind.ZOMBIE:
            advance(_PAST_THE_LEASE)
            sweep_once()
        with contextlib.suppress(Killed, InjectedFailure, LostAcknowledgement):  # another trouble may strike there
            tasks.run_job(Job(self.pipeline, trouble.effect.step, trouble.effect.verb), [])
        self.broker.deliver_all()


@contextmanager
def arming(armed: Armed) -> Iterator[None]:
    """Wrap everything that a trouble may strike."""
    with pytest.MonkeyPatch.context() as patch:
        for name, (module, function, _, _) in REQUESTS.items():
            patch.setattr(module, function, _around_request(armed, name, getattr(module, function)))
        for kind, verb in OWN_VERBS:
            patch.setattr(kind, verb, _around_verb(armed, kind.name, verb, kind.__dict__[verb]))
        patch.setattr(Statement, "rows", _after_record(armed, Statement.rows))
        patch.setattr(type(connections[DEFAULT_DB_ALIAS]), "_commit", _after_commit(armed))
        crashpoints.arm(armed.at_place)
        yield
        crashpoints.arm(None)


def _around_request(armed: Armed, name: str, send: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: armed.around_request(name, send, *args, **kwargs)


def _around_verb(armed: Armed, step: str, verb: str, run: Callable[..., Any]) -> Callable[..., Any]:
    return lambda this, given: armed.around_verb(step, verb, lambda: run(this, given))


def _after_record(armed: Armed, rows: Callable[..., Any]) -> Callable[..., Any]:
    def after(this: Statement, params: Any) -> Any:
        found = rows(this, params)
        if this._text in RECORDS:  # whatever constants it was given
            armed.after_record({**this._constants, **params})
        return found

    return after


def _after_commit(armed: Armed) -> Callable[..., Any]:
    commit = type(connections[DEFAULT_DB_ALIAS])._commit

    def after(this: Any) -> None:
        commit(this)
        armed.after_commit()

    return after
