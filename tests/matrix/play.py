"""Plays one pipeline under troubles, to its end, and compares what it tells with what the providers know."""

import contextlib
import itertools
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from pipeline import actions
from pipeline.errors import IllegalAction
from pipeline.models import Pipeline, Step
from pipeline.start import start
from pipeline.sweep import sweep_once
from pipeline.testing import (
    InjectedFailure,
    Killed,
    ScriptedBroker,
    advance,
    assert_consistent,
    history,
    snapshot,
    until_due,
)
from pipeline.verification import violations
from postings import endings
from postings.models import Plan, Posting
from postings.workflow import PublishPosting
from tests.matrix.points import Point, Scenario, Trouble
from tests.matrix.trouble import Armed
from tests.postings.conftest import PRICE, fields
from tests.sandbox.conftest import Sandbox

ENDS: Final = {
    Scenario.SOLD: "committed",
    Scenario.DECLINED: "rolled_back",
    Scenario.TURNED_BACK: "rolled_back",
    Scenario.CONFIRMED: "committed",
    Scenario.WITHDRAWN: "committed",
}
CARDS: Final = {Scenario.DECLINED: "pm_card_chargeDeclined", Scenario.CONFIRMED: "pm_card_authenticationRequired"}
_A_MOMENT = timedelta(milliseconds=1)
_keys = itertools.count(1)


@dataclass
class Shop:
    """The shop of postings, its workers, and the world outside."""

    sandbox: Sandbox
    broker: ScriptedBroker
    armed: Armed
    plan: Plan
    logo: bytes
    go_on: Callable[[bool], None]
    seen: int = 0  # the last entry of the ledger that was read
    entries: list[dict[str, Any]] = field(default_factory=list)
    _reading: threading.Lock = field(default_factory=threading.Lock)  # jobs side by side look at the same ledger

    def submit(self, card: str = "pm_card_visa", *, logo: bool = True) -> uuid.UUID:
        given = fields(self.plan, payment_method=card, has_logo=logo)
        attachments = {"logo": self.logo} if logo else {}
        return start(PublishPosting, input=given, key=f"matrix-key-{next(_keys)}", attachments=attachments).id

    def play(self, scenario: Scenario, troubles: Sequence[Trouble], *, redeliver: bool = False) -> uuid.UUID:
        """Run the scenario's pipeline under the troubles and check it; AssertionError with its history.

        `redeliver`: the message of a worker that dies comes again once its connection is found dead; otherwise
        it is lost. Whoever dies after publishing has not acknowledged, so that its message always comes again.
        """
        posting = self._published() if scenario == Scenario.WITHDRAWN else None
        self.armed.begin(list(troubles))
        pipeline = self._begin(scenario, posting)
        self.finish(pipeline, scenario, redeliver=redeliver)
        return pipeline

    def finish(self, pipeline: uuid.UUID, scenario: Scenario, *, redeliver: bool = False) -> None:
        """Run a pipeline that has begun to its end and check it."""
        troubles = list(self.armed.troubles)
        try:
            self._run(pipeline, scenario, redeliver=redeliver)
            self.armed.end()
            self._check(pipeline, scenario)
        except Exception as error:
            told = [str(scenario), *map(str, troubles), str(error), history(pipeline), self._outside(pipeline)]
            raise AssertionError("\n".join(told)) from error
        finally:
            self.armed.end()

    def sell(self, *troubles: Trouble) -> uuid.UUID:
        """Submit a posting under these troubles, and no more: its messages wait."""
        self.armed.begin(list(troubles))
        self.armed.pipeline = self.submit()
        return self.armed.pipeline

    # --- running --------------------------------------------------------------------------------

    def _published(self) -> Posting:
        self.armed.begin([])
        pipeline = self.submit(logo=False)
        self._run(pipeline, Scenario.SOLD, redeliver=False)
        return Posting.objects.get(pipeline_id=pipeline)

    def _begin(self, scenario: Scenario, posting: Posting | None) -> uuid.UUID:
        if posting is not None:
            pipeline = endings.withdraw(posting, by="olga", reason="The customer asked for it").id
        else:
            pipeline = self.submit(CARDS.get(scenario, "pm_card_visa"))
        self.armed.pipeline = pipeline
        if scenario == Scenario.TURNED_BACK:
            self.armed.on_place["email.stage.claimed"] = lambda: self._turn_back(pipeline)
        return pipeline

    def _turn_back(self, pipeline: uuid.UUID) -> None:
        with contextlib.suppress(IllegalAction):
            actions.roll_back(pipeline, by="olga", reason="A mistake")

    def _run(self, pipeline: uuid.UUID, scenario: Scenario, *, redeliver: bool) -> None:
        is_asked = scenario == Scenario.CONFIRMED
        for _ in range(100):
            self._deliver_all(redeliver=redeliver)
            state = Pipeline.objects.values_list("state", flat=True).get(pk=pipeline)
            if state in ("committed", "rolled_back"):
                return
            if state == "waiting" and is_asked:
                is_asked = False
                self._confirm(pipeline)
            elif self._sweep() == 0 and not self.broker.waiting:
                advance(until_due(pipeline) + _A_MOMENT)
        raise AssertionError("it does not end")

    def _deliver_all(self, *, redeliver: bool) -> None:
        for _ in range(200):
            before = len(self.armed.struck)
            message = self.broker.deliver()
            if message is None:
                return
            last = self.armed.struck[before:]
            if any(trouble.kind == "crash" and (redeliver or trouble.point == Point.PUBLISHED) for trouble in last):
                self.broker.duplicate(message)
        raise AssertionError("messages that breed messages")

    def _sweep(self) -> int:
        with contextlib.suppress(Killed, InjectedFailure):
            return sweep_once()
        return 1

    def _confirm(self, pipeline: uuid.UUID) -> None:
        """The customer passes 3-D Secure and comes back."""
        intent = Step.objects.get(pipeline_id=pipeline, name="payment").data["intent"]
        self.sandbox.post(f"stripe/payment_intents/{intent}/authenticate", {"outcome": "succeed"})
        with contextlib.suppress(IllegalAction):
            actions.resume(pipeline)

    # --- checking -------------------------------------------------------------------------------

    def verify(self) -> None:
        """Every pipeline so far, as `manage.py verify --settled` compares it with the providers."""
        found = violations(settled=True)
        left = self.sandbox.get("state")["open_intents"]
        assert not left, f"I5: intents that no pipeline needs are left: {left}"
        assert not found, "\n".join(f"{each.invariant}: {each.expected}; {each.found}" for each in found)

    def look(self, pipeline: uuid.UUID) -> list[str]:
        """What can be seen outside and may not be seen, at any moment."""
        row = Pipeline.objects.get(pk=pipeline)
        if row.workflow != PublishPosting.name:
            return []
        effects = self._effects(pipeline)
        is_paid = any(entry["effect"] == "captured" for entry in effects)
        is_shown = Posting.objects.filter(pipeline_id=pipeline, state="published").exists()
        is_told = any(entry.get("category") == "receipt" for entry in effects)
        seen = {
            "a posting is published that nobody has paid for": is_shown and not is_paid,
            "a receipt is sent before the payment is captured": is_told and not is_paid,
            f"captured while it is {row.state}": is_paid and row.state not in ("committing", "committed"),
        }
        return [what for what, is_so in seen.items() if is_so]

    def _check(self, pipeline: uuid.UUID, scenario: Scenario) -> None:
        assert not self.armed.wrong, self.armed.wrong
        self._agrees(pipeline, scenario)
        rows, outside = snapshot(pipeline), len(self._effects(pipeline))
        self.broker.replay_all([pipeline])
        self.broker.sent.clear()
        self.broker.drop_all()
        assert snapshot(pipeline) == rows, "old messages, delivered again, changed an ended pipeline"
        assert len(self._effects(pipeline)) == outside, "old messages, delivered again, had effects"

    def _agrees(self, pipeline: uuid.UUID, scenario: Scenario) -> None:
        """The guarantee, seen from outside: all of it or nothing, each once."""
        assert_consistent(pipeline)
        row = Pipeline.objects.get(pk=pipeline)
        assert row.state == ENDS[scenario], f"it is {row.state}, and nothing asked for that"
        count = Counter(entry["effect"] for entry in self._effects(pipeline))
        mails = [entry["category"] for entry in self._effects(pipeline) if entry["effect"] == "email_accepted"]
        money = {name: count[name] for name in ("authorised", "captured", "voided", "refunded") if count[name]}
        assert money == _MONEY[scenario], money
        assert all(entry["amount"] == PRICE for entry in self._effects(pipeline) if entry["effect"] in money)
        objects = count["object_put"] - count["object_deleted"]
        assert objects == (row.state == "committed" and row.input.get("has_logo", False)), f"{objects} objects"
        assert set(mails) == {_MAILS[scenario]}, mails
        allowed = 1 + sum(trouble.may_double_the_mail for trouble in self.armed.struck)
        assert len(mails) <= allowed, f"{len(mails)} mails, {allowed} allowed"
        shown = Posting.objects.filter(pipeline_id=row.input.get("published_by", pipeline))
        assert [posting.state for posting in shown] == _SHOWN[scenario], list(shown)

    def _effects(self, pipeline: uuid.UUID) -> list[dict[str, Any]]:
        """What happened outside for this pipeline, in order; replayed answers are no effects."""
        return [each for each in self.ledger() if each["reference"] == str(pipeline) and not each["replayed"]]

    def ledger(self) -> list[dict[str, Any]]:
        """All of the sandbox's ledger; only what is new is asked for."""
        with self._reading:
            self.entries += self.sandbox.ledger(f"?since={self.seen}")
            self.seen = self.entries[-1]["seq"] if self.entries else 0
            return list(self.entries)

    def _outside(self, pipeline: uuid.UUID) -> str:
        told = [f"{each['effect']} {each['object_id']} {each.get('category', '')}" for each in self._effects(pipeline)]
        return "outside: " + "; ".join(told)


_MONEY: Final = {
    Scenario.SOLD: {"authorised": 1, "captured": 1},
    Scenario.DECLINED: {},
    Scenario.TURNED_BACK: {"authorised": 1, "voided": 1},
    Scenario.CONFIRMED: {"authorised": 1, "captured": 1},
    Scenario.WITHDRAWN: {"refunded": 1},
}
_MAILS: Final = {
    Scenario.SOLD: "receipt",
    Scenario.DECLINED: "not_published",
    Scenario.TURNED_BACK: "not_published",
    Scenario.CONFIRMED: "receipt",
    Scenario.WITHDRAWN: "withdrawn",
}
_SHOWN: Final = {
    Scenario.SOLD: ["published"],
    Scenario.DECLINED: [],
    Scenario.TURNED_BACK: [],
    Scenario.CONFIRMED: ["published"],
    Scenario.WITHDRAWN: ["withdrawn"],
}
