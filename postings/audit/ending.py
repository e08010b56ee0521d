"""The two ends of a posting against their traces: withdrawn and refunded, or expired."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pipeline.restored import times_restored
from pipeline.states import PipelineState, StepState
from pipeline.verification import Facts, Violation
from postings.audit.traces import Outside
from postings.models import PostingState

ENDS_AS: Final = {"withdraw_posting": PostingState.WITHDRAWN, "expire_posting": PostingState.EXPIRED}
_MONEY: Final = "a person decides: see the intent in Stripe's dashboard"


@dataclass(frozen=True, slots=True)
class Ending:
    """A withdraw_posting or expire_posting pipeline as it is here; `posting` is the state of what it has reserved."""

    facts: Facts
    posting: str | None


def wrong_ending(ending: Ending, outside: Outside) -> Iterator[Violation]:
    """Every violation of one ending."""
    facts, state = ending.facts, ending.facts.row.state
    ends_as = ENDS_AS[facts.row.workflow]
    if state == PipelineState.COMMITTED and ending.posting != ends_as:
        yield Violation("I2", facts.id, f"a posting that is {ends_as}", f"it is {ending.posting}")
    elif state not in (PipelineState.COMMITTED, PipelineState.COMMITTING) and ending.posting == ends_as:
        yield Violation("I3", facts.id, f"a posting that is not {ends_as}", f"it is, in a pipeline {state}")
    yield from _wrong_logo(facts, outside)
    if facts.row.workflow == "withdraw_posting":
        yield from _wrong_money(facts, outside)


def _wrong_logo(facts: Facts, outside: Outside) -> Iterator[Violation]:
    logo = facts.of.get("logo")
    if logo is None or logo.state != StepState.COMMITTED:
        return
    sold, key = outside.of.get(facts.row.input["published_by"]), facts.row.input["logo_key"]
    if sold is not None and key in sold.objects:
        yield Violation("I2", facts.id, "no logo", f"the object {key}", "delete it in the bucket")


def _wrong_money(facts: Facts, outside: Outside) -> Iterator[Violation]:
    traces, intent = outside.of.get(str(facts.id)), facts.row.input.get("intent")
    made = traces.refunds if traces else []
    told = traces.told["withdrawn"] if traces else 0
    if len(made) > 1:
        yield Violation("I4", facts.id, "at most one refund", f"{len(made)} at Stripe", _MONEY)
    if facts.row.state == PipelineState.COMMITTED:
        refunded = facts.of["refund"].data.get("refunded", 0)
        is_known = any(event.data.get("code") == "refund_failed" for event in facts.events)  # a person was told
        if intent in outside.refunded and outside.refunded[intent] != refunded and not is_known:
            yield Violation("I2", facts.id, f"{refunded} refunded", f"{outside.refunded[intent]} is", _MONEY, (intent,))
        if refunded and intent not in outside.refunded and outside.knows_what_was_told:
            yield Violation("I2", facts.id, f"{refunded} refunded", "nothing is", _MONEY)
        yield from _wrong_mail(facts, told, counts=outside.knows_what_was_told)
    elif facts.row.state != PipelineState.COMMITTING and (made or told):
        found = f"{len(made)} refunds and {told} mails in a pipeline {facts.row.state}"
        yield Violation("I3", facts.id, "no refund, and nobody told", found, _MONEY)


def _wrong_mail(facts: Facts, told: int, *, counts: bool) -> Iterator[Violation]:
    email = facts.of["email"]
    most = email.calls.get("commit.send", {}).get("generation", 0) + times_restored(facts.events)
    if counts and email.state == StepState.COMMITTED and not 1 <= told <= most:
        yield Violation("I2", facts.id, f"withdrawn told 1 to {most} times", f"{told} times")
