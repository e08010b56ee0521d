"""A purchase against its traces: I2 when committed, I3 when rolled back, I4 and I5 always."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pipeline.restored import times_restored
from pipeline.states import OPEN, PipelineState, StepState
from pipeline.verification import Facts, Violation
from postings.audit.traces import Traces
from postings.models import PostingState
from postings.prices import formatted, major

_ENDED: Final = frozenset({PostingState.PUBLISHED, PostingState.WITHDRAWN, PostingState.EXPIRED})
_STRIPE: Final = "look the pipeline's id up in Stripe's dashboard; `manage.py reconcile` voids what is safe to void"
_RECONCILE: Final = "run `manage.py reconcile`"
_MONEY: Final = "a person decides: see the findings in the admin and the intent in Stripe's dashboard"


@dataclass(frozen=True, slots=True)
class Purchase:
    """A publish_posting pipeline as it is here. `posting` is its row's state, None without one."""

    facts: Facts
    posting: str | None
    is_withdrawn: bool  # or being withdrawn: a pipeline of ours may refund it


def wrong_purchase(
    purchase: Purchase, traces: Traces, *, refunded: Mapping[str, int], counts_told: bool
) -> Iterator[Violation]:
    """Every violation of one purchase. `refunded` is what was given back, by intent; 0 of those it does not name."""
    facts = purchase.facts
    yield from _wrong_once(facts, traces)
    yield from _wrong_origins(facts, traces)
    if facts.row.state == PipelineState.COMMITTED:
        yield from _wrong_sale(purchase, traces)
        yield from _wrong_logo(purchase, traces)
        yield from _wrong_refund(purchase, traces, refunded)
        if counts_told:
            yield from _wrong_told(facts, traces, "email", "receipt", at_least=1)
            yield from _wrong_told(facts, traces, "sms", "sms", at_least=1)
    elif facts.row.state == PipelineState.ROLLED_BACK:
        yield from _left_over(purchase, traces, refunded)
        yield from _wrong_told(facts, traces, "email", "not_published", at_least=0)
    elif facts.row.state in OPEN:
        yield from _too_early(purchase, traces)


def _of(
    facts: Facts, invariant: str, expected: str, found: str, next_step: str, objects: Sequence[str] = ()
) -> Violation:
    return Violation(invariant, facts.id, expected, found, next_step, tuple(dict.fromkeys(objects)))


def paid_by(facts: Facts) -> str | None:
    """The intent that the pipeline has recorded; None before, and once that was erased."""
    payment = facts.of.get("payment")
    return payment.data.get("intent") if payment else None


def _beside_own(facts: Facts, intents: Sequence[str]) -> list[str]:
    """These without the pipeline's own, once: what is left of it twice is left over, too."""
    others, own = list(intents), paid_by(facts)
    if own in others:
        others.remove(own)
    return others


def _wrong_once(facts: Facts, traces: Traces) -> Iterator[Violation]:
    """I4, in any state and whatever the client saw."""
    if len(traces.authorised) > 1:
        others = _beside_own(facts, traces.authorised)
        found = f"{len(traces.authorised)} at Stripe"
        yield _of(facts, "I4", "at most one authorisation", found, _STRIPE, others)
    if len(traces.captured) > 1:
        intents = [intent for intent, _ in traces.captured]
        found = f"{len(intents)} at Stripe: {', '.join(intents)}"
        yield _of(facts, "I4", "at most one capture", found, _MONEY, _beside_own(facts, intents))


def _wrong_origins(facts: Facts, traces: Traces) -> Iterator[Violation]:
    """I5: every effect was written down before it was sent."""
    intents = [intent for intent, _ in traces.captured] + traces.holds + traces.open_intents
    if intents and not _has_called(facts, "payment", "stage.create"):
        yield _of(facts, "I5", "a stored call for every intent", f"none for {', '.join(intents)}", _STRIPE, intents)
    logo = facts.of.get("logo")
    ours = logo.calls["stage.put"]["params"]["key"] if logo and logo.has_called("stage.put") else None
    for key in traces.objects:
        if key != ours:
            yield _of(facts, "I5", "a stored call for every object", f"none for {key}", _RECONCILE, [key])
    for kind, slot in (("receipt", "commit.send"), ("not_published", "rollback.send")):
        if traces.told[kind] and not _has_called(facts, "email", slot):
            yield _of(facts, "I5", "a stored call for every mail", f"none for a {kind}", _MONEY)


def _has_called(facts: Facts, kind: str, slot: str) -> bool:
    step = facts.of.get(kind)
    return step is not None and step.has_called(slot)


def _wrong_sale(purchase: Purchase, traces: Traces) -> Iterator[Violation]:
    """I2: a posting that everybody sees (or saw), and exactly its price."""
    facts = purchase.facts
    if purchase.posting not in _ENDED:
        found = f"it is {purchase.posting}" if purchase.posting else "there is none"
        yield _of(facts, "I2", "a posting that is published, or was", found, _MONEY)
    plan = facts.row.input["plan"]
    price = (plan["amount"], plan["currency"].lower())
    amounts = [money for _, money in traces.captured]
    if amounts != [price]:
        found = ", ".join(_shown(money) for money in amounts) or "nothing captured"
        is_paid = (paid_by(facts), price) in traces.captured  # so that only the others are wrong
        others = _beside_own(facts, [intent for intent, _ in traces.captured]) if is_paid else []
        yield _of(facts, "I2", f"one capture of {_shown(price)}", found, _MONEY, others)
    yield from _wrong_price(facts, traces)
    for intent in traces.holds + traces.open_intents:
        yield _of(facts, "I2", "no intent beside the captured one", f"{intent} is open", _MONEY, [intent])


def _wrong_price(facts: Facts, traces: Traces) -> Iterator[Violation]:
    """I2: the card's statement has the price that the customer was shown."""
    plan = facts.row.input["plan"]
    shown = major(plan["amount"], plan["currency"])
    for intent, charged in traces.charged.items():
        if Decimal(charged) != shown:
            found = f"{charged} {plan['currency']} were charged"
            yield _of(facts, "I2", f"{shown} {plan['currency']} charged, as shown", found, _MONEY, [intent])
    email = facts.of.get("email")
    sent = email.calls.get("commit.send", {}).get("params", {}).get("mail") if email else None
    price = formatted(plan["amount"], plan["currency"])
    if sent and price not in sent["content"][0]["value"]:
        yield _of(facts, "I2", f"a receipt of {price}", "the receipt names another price", _MONEY)


def _wrong_logo(purchase: Purchase, traces: Traces) -> Iterator[Violation]:
    """I2: the object that was staged, with the bytes that were sent, while the posting has not ended."""
    facts = purchase.facts
    logo = facts.of.get("logo")
    is_over = purchase.posting in (PostingState.WITHDRAWN, PostingState.EXPIRED)  # postings/audit/ending.py looks
    if logo is None or logo.state != StepState.COMMITTED or is_over:
        return
    key, digest = logo.data["key"], logo.data.get("sha256", "")
    if key not in traces.objects:
        yield _of(facts, "I2", f"the object {key}", "there is none", "ask the customer for the logo once more")
    elif digest and traces.objects[key] not in (digest, ""):
        found = f"{traces.objects[key]} is stored"
        yield _of(facts, "I2", f"an object whose bytes hash to {digest}", found, "see who wrote to the bucket")


def _wrong_refund(purchase: Purchase, traces: Traces, refunded: Mapping[str, int]) -> Iterator[Violation]:
    """I9: what was paid for and not withdrawn stays paid, unless a person knows already."""
    known = any(event.data.get("code") in ("refunded_at_stripe", "disputed") for event in purchase.facts.events)
    back = {intent: amount for intent, _ in traces.captured if (amount := refunded.get(intent, 0))}
    if back and not purchase.is_withdrawn and not known:
        found = f"{sum(back.values())} refunded while the posting is published"
        yield _of(purchase.facts, "I9", "the price of a posting that was not withdrawn", found, _MONEY, list(back))


def _wrong_told(facts: Facts, traces: Traces, step: str, kind: str, *, at_least: int) -> Iterator[Violation]:
    """Once; once more for each sending whose outcome was unknown, which raised the call's generation."""
    row = facts.of.get(step)
    if row is None or (row.state == StepState.SKIPPED and not traces.told[kind]):
        return
    call = row.calls.get("rollback.send" if kind == "not_published" else "commit.send", {})
    most = call.get("generation", 0) + times_restored(facts.events)
    if not at_least <= traces.told[kind] <= most:
        expected = f"{kind} once" if most == 1 else f"{kind} {at_least} to {most} times"
        yield _of(facts, "I2" if at_least else "I3", expected, f"{traces.told[kind]} times", _MONEY)


def _left_over(purchase: Purchase, traces: Traces, refunded: Mapping[str, int]) -> Iterator[Violation]:
    """I3: nothing of it is left, and nobody was told otherwise."""
    facts = purchase.facts
    if purchase.posting is not None:
        yield _of(facts, "I3", "no posting", f"one that is {purchase.posting}", _RECONCILE)
    for key in traces.objects:
        yield _of(facts, "I3", "no object", key, _RECONCILE, [key])
    for intent in traces.holds:
        yield _of(facts, "I3", "no money held", f"{intent} holds it", _RECONCILE, [intent])
    for intent in traces.open_intents:
        yield _of(facts, "I3", "no intent that could still be confirmed", f"{intent} is open", _RECONCILE, [intent])
    kept = {intent: left for intent, (amount, _) in traces.captured if (left := amount - refunded.get(intent, 0)) > 0}
    if kept:
        found = f"{sum(kept.values())} is kept"
        yield _of(facts, "I3", "nothing captured, or all of it refunded", found, _MONEY, list(kept))
    if traces.told["receipt"] or traces.told["sms"]:
        yield _of(facts, "I3", "no receipt", "one was sent", "write to the customer: nothing was bought")


def _too_early(purchase: Purchase, traces: Traces) -> Iterator[Violation]:
    """I2 and I3 of what is not decided: nothing final, and nobody told."""
    facts = purchase.facts
    if traces.captured:
        names = ", ".join(intent for intent, _ in traces.captured)
        yield _of(facts, "I2", "no capture before the decision", f"{names} in a pipeline {facts.row.state}", _MONEY)
    if purchase.posting not in (None, PostingState.HIDDEN):
        found = f"it is {purchase.posting} in a pipeline {facts.row.state}"
        yield _of(facts, "I2", "a hidden posting before the decision", found, _MONEY)
    if traces.told:
        found = ", ".join(traces.told)
        yield _of(facts, "I2", "nobody told before the decision", found, "write to the customer: it is not decided yet")


def _shown(money: tuple[int, str]) -> str:
    amount, currency = money
    return f"{amount} {currency}"
