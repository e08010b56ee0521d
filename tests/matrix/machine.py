"""The shop as a state machine: customers, workers, messages, providers and time in any order, and what must hold."""

import contextlib
from collections import Counter
from datetime import timedelta
from typing import Any, ClassVar, Final

from django.db.models import Model
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline import actions
from pipeline.errors import IllegalAction
from pipeline.models import Attachment, Event, Inbox, Pipeline, Step
from pipeline.testing import advance, assert_consistent, history, snapshot, until_due
from postings.models import Posting
from tests.faults import KINDS, SLOW
from tests.matrix.play import Shop
from tests.matrix.points import Kind, Trouble, troubles
from tests.matrix.webhooks import Webhooks
from tests.postings.conftest import PRICE

OURS: Final[tuple[type[Model], ...]] = (Event, Step, Attachment, Inbox, Posting, Pipeline)
CARDS: Final = ("pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired")
ROUTES: Final = (
    ("s3", "objects.put"),
    ("s3", "objects.delete"),
    ("stripe", "payment_intents.create"),
    ("stripe", "payment_intents.confirm"),
    ("stripe", "payment_intents.capture"),
    ("stripe", "payment_intents.cancel"),
    ("stripe", "payment_intents.retrieve"),
    ("sendgrid", "mail.send"),
)
# Those that make nobody wait; the others are tests/postings/test_faults.py's.
FAULTS: Final = tuple(kind for kind in KINDS if kind not in SLOW)
TROUBLES: Final = [each for each in troubles(Kind.CRASH, Kind.EXCEPTION) if each.effect.scenario != "withdrawn"]
# A moment, past a retry, past a lease, past a mail's grace, past staging's deadline, past the keys' memory.
SECONDS: Final = (1, 5, 61, 130, 700, 25 * 3600)
MOST: Final = 3  # pipelines of one example
_A_MOMENT = timedelta(milliseconds=1)
LONG = timedelta(minutes=10)
ROUNDS = 300

which = st.integers(0, 20)


class ShopMachine(RuleBasedStateMachine):
    """One example. `shop` is set by the test."""

    shop: ClassVar[Shop]

    def __init__(self) -> None:
        super().__init__()
        for model in OURS:
            model.objects.all()._raw_delete("default")  # type: ignore[attr-defined]
        self.shop.sandbox.post("reset")
        self.shop.seen, self.shop.entries = 0, []
        self.shop.broker.drop_all()
        self.shop.broker.sent.clear()
        self.shop.armed.begin([])
        self.shop.armed.look = lambda pipeline: []  # the invariants look after every step
        self.webhooks = Webhooks(self.shop.sandbox)
        self.pipelines: list[Any] = []
        self.fences: Counter[int] = Counter()
        self.by_person: set[Any] = set()  # pipelines whose effects a person gave up

    @initialize(is_on=st.booleans())
    def how_workers_go_on(self, *, is_on: bool) -> None:
        self.shop.go_on(is_on)

    @initialize(card=st.sampled_from(CARDS), logo=st.booleans())
    def first_submission(self, card: str, *, logo: bool) -> None:
        self.pipelines.append(self.shop.submit(card, logo=logo))

    # --- customers and people -------------------------------------------------------------------

    @precondition(lambda self: len(self.pipelines) < MOST)
    @rule(card=st.sampled_from(CARDS), logo=st.booleans())
    def submit(self, card: str, *, logo: bool) -> None:
        self.pipelines.append(self.shop.submit(card, logo=logo))

    @rule(which=which)
    def cancel(self, which: int) -> None:
        with contextlib.suppress(IllegalAction):
            actions.cancel(self._one(which))

    @rule(which=which, outcome=st.sampled_from(["succeed", "succeed", "fail"]), is_back=st.booleans())
    def authenticate(self, which: int, outcome: str, *, is_back: bool) -> None:
        pipeline = self._one(which)
        intent = Step.objects.get(pipeline_id=pipeline, name="payment").data.get("intent")
        if intent and Pipeline.objects.filter(pk=pipeline, state="waiting").exists():
            self.shop.sandbox.http.post(
                f"/_sandbox/stripe/payment_intents/{intent}/authenticate", json={"outcome": outcome}
            )
        if is_back:
            with contextlib.suppress(IllegalAction):
                actions.resume(pipeline)

    @rule(which=which)
    def retry_now(self, which: int) -> None:
        with contextlib.suppress(IllegalAction):
            actions.retry_now(self._one(which), by="olga", reason="It is mended")

    @rule(which=which, step=st.sampled_from(["logo", "posting", "email"]))
    def skip(self, which: int, step: str) -> None:
        pipeline = self._one(which)
        with contextlib.suppress(IllegalAction):
            actions.skip(pipeline, step, by="olga", reason="Done by hand")
            self.by_person.add(pipeline)

    # --- messages -------------------------------------------------------------------------------

    @rule()
    def deliver_all(self) -> None:
        self.shop._deliver_all(redeliver=False)

    @rule(which=which)
    def deliver_any(self, which: int) -> None:
        if waiting := self.shop.broker.waiting:
            self.shop.broker.deliver(waiting[which % len(waiting)])

    @rule(which=which)
    def deliver_an_old_one(self, which: int) -> None:
        if sent := self.shop.broker.sent:
            self.shop.broker.deliver(sent[which % len(sent)])

    @rule(which=which)
    def duplicate(self, which: int) -> None:
        if waiting := self.shop.broker.waiting:
            self.shop.broker.duplicate(waiting[which % len(waiting)])

    @rule()
    def drop(self) -> None:
        self.shop.broker.drop()

    @rule(seed=st.integers(0, 100))
    def reorder(self, seed: int) -> None:
        self.shop.broker.reorder(seed)

    # --- workers and time -----------------------------------------------------------------------

    @rule(trouble=st.sampled_from(TROUBLES))
    def crash_at(self, trouble: Trouble) -> None:
        self.shop.armed.troubles = [trouble]

    @rule()
    def sweep(self) -> None:
        self.shop._sweep()

    @rule(which=which)
    def until_somebody_looks(self, which: int) -> None:
        pipeline = self._one(which)
        self._let_pass(until_due(pipeline) + _A_MOMENT)
        self.shop._sweep()
        self.shop._deliver_all(redeliver=False)

    @rule(seconds=st.sampled_from(SECONDS))
    def pass_time(self, seconds: int) -> None:
        self._let_pass(timedelta(seconds=seconds))

    # --- providers ------------------------------------------------------------------------------

    @rule(route=st.sampled_from(ROUTES), kind=st.sampled_from(FAULTS), times=st.integers(1, 3))
    def provider_fails(self, route: tuple[str, str], kind: str, times: int) -> None:
        self.shop.sandbox.fault(route[0], kind, route=route[1], times=times)
        self.shop.armed.faults += 1

    @rule()
    def providers_are_well(self) -> None:
        self.shop.sandbox.http.delete("/_sandbox/faults")

    @rule(which=which, times=st.integers(1, 2))
    def stripe_tells(self, which: int, times: int) -> None:
        """Any event so far: late, out of order, twice; those never chosen are lost."""
        self.webhooks.from_stripe(which, times)

    @rule(place=st.sampled_from(["payment.stage.effect", "payment.commit.effect", "payment.stage.claimed"]))
    def stripe_will_tell_early(self, place: str) -> None:
        """Before the answer is recorded."""
        self.shop.armed.on_place[place] = lambda: self.webhooks.from_stripe(0, 1)

    @rule(which=which, kind=st.sampled_from(["processed", "delivered", "bounce"]), times=st.integers(1, 2))
    def sendgrid_tells(self, which: int, kind: str, times: int) -> None:
        mails = [entry for entry in self._ledger() if entry["effect"] == "email_accepted"]
        if mails:
            self.webhooks.from_sendgrid(mails[which % len(mails)], kind, times)

    # --- what must hold -------------------------------------------------------------------------

    @invariant()
    def nobody_pays_twice(self) -> None:
        """I4, by the provider's word, answered or not."""
        for pipeline in self.pipelines:
            count = Counter(entry["effect"] for entry in self._ledger() if entry["reference"] == str(pipeline))
            assert count["authorised"] <= 1, f"I4: {count['authorised']} holds\n{history(pipeline)}"
            assert count["captured"] <= 1, f"I4: {count['captured']} captures\n{history(pipeline)}"
            assert count["captured"] + count["voided"] <= 1, f"I4: captured and voided\n{history(pipeline)}"

    @invariant()
    def every_history_is_legal(self) -> None:
        """I6, and that fences only rise."""
        for pipeline in self.pipelines:
            assert_consistent(pipeline)
        for step, fence in Step.objects.values_list("pk", "fence"):
            assert fence >= self.fences[step], f"I6: a fence fell from {self.fences[step]} to {fence}"
            self.fences[step] = fence

    @invariant()
    def nothing_is_shown_too_early(self) -> None:
        for pipeline in self.pipelines:
            wrong = self.shop.look(pipeline)
            assert not wrong, f"{wrong}\n{history(pipeline)}"

    def teardown(self) -> None:
        """Faults off, everybody at work: all of it ends, and agrees with what the providers know."""
        self.shop.armed.end()
        self.providers_are_well()
        for _ in range(ROUNDS):
            self.shop._deliver_all(redeliver=False)
            left = list(Pipeline.objects.filter(finished_at=None).values_list("pk", flat=True))
            if not left:
                break
            if self.shop._sweep() == 0 and not self.shop.broker.waiting:
                self._let_pass(max(min(until_due(each) for each in left) + _A_MOMENT, self._patience()))
        else:
            raise AssertionError("not ended:\n" + "\n".join(history(each) for each in left))
        self.nobody_pays_twice()
        self.every_history_is_legal()
        for pipeline in self.pipelines:
            self._agrees(pipeline)
        if not self.by_person:
            self.shop.verify()
        self._nothing_is_left_to_say()

    def _patience(self) -> timedelta:
        """Customers who are waited for are asked every minute of an hour: passed over where nobody else has to act."""
        others = Pipeline.objects.filter(finished_at=None).exclude(state="waiting")
        return timedelta(0) if others.exists() else LONG

    def _agrees(self, pipeline: Any) -> None:
        """All of it or nothing, by the ledger."""
        row = Pipeline.objects.get(pk=pipeline)
        count = Counter(entry["effect"] for entry in self._ledger() if entry["reference"] == str(pipeline))
        told = f"{dict(count)}\n{history(pipeline)}"
        if row.state == "committed":
            assert count["captured"] == 1, told
            assert all(e["amount"] == PRICE for e in self._ledger() if e["effect"] == "captured"), told
        else:
            assert count["captured"] == 0, told
            assert count["authorised"] == count["voided"], told
        if pipeline in self.by_person:
            return  # what a person gave up is left as it is
        shown = Posting.objects.filter(pipeline_id=pipeline).values_list("state", flat=True)
        is_here = row.state == "committed"
        assert list(shown) == (["published"] if is_here else []), told
        assert count["object_put"] - count["object_deleted"] == (is_here and row.input["has_logo"]), told

    def _nothing_is_left_to_say(self) -> None:
        """I8: every message ever sent, once more."""
        before, outside = [snapshot(each) for each in self.pipelines], len(self._ledger())
        self.shop.broker.replay_all()
        assert [snapshot(each) for each in self.pipelines] == before
        assert len(self._ledger()) == outside

    # --- what the rules use ---------------------------------------------------------------------

    def _one(self, which: int) -> Any:
        return self.pipelines[which % len(self.pipelines)]

    def _let_pass(self, by: timedelta) -> None:
        """Here and at the providers."""
        advance(by)
        self.shop.sandbox.post("clock", {"seconds": by.total_seconds()})

    def _ledger(self) -> list[dict[str, Any]]:
        return [entry for entry in self.shop.ledger() if not entry["replayed"]]
