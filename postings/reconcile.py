"""What a posting leaves outside, judged by its pipeline: intents at Stripe, logos in object storage.

Removed without asking: a hold, or an open intent, and a logo of a pipeline that is rolled back. Money that was
taken is a person's to decide, and whatever carries a mark that is no pipeline's here: it may be another
environment's.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from pipeline.findings import Repair
from pipeline.models import Event
from pipeline.reconciliation import Reconciler, Thing, Verdict
from pipeline.states import OPEN, EventType, PipelineState
from pipeline.verification import Facts
from pipeline.workflow import Refused
from postings.endings import withdrawals_of
from postings.providers import storage, stripe
from postings.providers.storage import Stored
from postings.providers.stripe import Intent, WrongState

NOBODYS: Final = Verdict(
    "It carries a mark that is no pipeline's here: another environment's, or the pipeline's row is lost. Remove it at "
    "its provider's if it is ours."
)


class Intents(Reconciler):
    """PaymentIntents with our mark."""

    workflows = ("publish_posting",)

    def things(self, since: datetime | None) -> Iterator[Thing]:
        """Those that are not cancelled."""
        return (_of_intent(each) for each in stripe.intents(since) if each.reference and each.status != "canceled")

    def again(self, thing: Thing) -> Thing | None:
        """Read it by its id."""
        return _of_intent(stripe.retrieve(thing.id))

    def judge(self, thing: Thing, facts: Facts | None) -> Verdict | None:
        """By the pipeline's state: whose money it holds or has taken."""
        intent: Intent = thing.what
        if intent.status == "canceled":
            return None
        kept = intent.amount_received - intent.amount_refunded
        is_taken = intent.status == "succeeded"
        if facts is None:
            return NOBODYS if kept or not is_taken else None
        if facts.row.state == PipelineState.ROLLED_BACK:
            return _after_rollback(intent, kept, is_taken=is_taken)
        if facts.row.state in OPEN:
            return Verdict("It was captured before the decision: find out by whom.") if is_taken else None
        return _beside_a_sale(intent, kept, facts)

    def finals(self, since: datetime | None) -> Iterator[str]:
        """Of sales whose payment is captured and kept, and of withdrawals that have refunded."""
        for intent in stripe.intents(since):
            if intent.reference and intent.amount_received > intent.amount_refunded:
                yield intent.reference
        for refund in stripe.refunds(since):
            if refund.reference:
                yield refund.reference

    def repair(self, thing: Thing, repair: Repair) -> None:
        """Cancel it, which releases the hold. Refused when it was captured meanwhile."""
        call = repair.call("cancel", {"cancellation_reason": "abandoned"})
        try:
            intent = stripe.cancel(thing.id, call)
        except WrongState:
            intent = stripe.retrieve(thing.id)
        if intent.status != "canceled":
            raise Refused("not_cancelled", f"{intent.id} is {intent.status}")


def _after_rollback(intent: Intent, kept: int, *, is_taken: bool) -> Verdict | None:
    if not is_taken:
        return Verdict("Its pipeline is rolled back, and it could still hold or take money.", is_safe=True)
    if kept > 0:
        return Verdict(f"{kept} {intent.currency} were captured and nothing was published: refund it in the dashboard.")
    return None


def _beside_a_sale(intent: Intent, kept: int, facts: Facts) -> Verdict | None:
    payment = facts.of.get("payment")
    if payment is None or "intent" not in payment.data:  # reaped: nothing is known of it any more
        return None
    if intent.id != payment.data["intent"]:
        if not kept and intent.status == "succeeded":
            return None
        return Verdict(f"The pipeline was paid by {payment.data['intent']}, and this is a second one: give it back.")
    if kept and _is_withdrawn(facts):
        return Verdict(f"{kept} {intent.currency} are kept of a posting that was withdrawn: pay it back another way.")
    if intent.amount_refunded and not withdrawals_of(facts.id).exists():  # ours refunds it
        return Verdict(f"{intent.amount_refunded} {intent.currency} were refunded at Stripe: take the posting down?")
    return None


def _is_withdrawn(facts: Facts) -> bool:
    """Whether a withdrawal told the customer of a refund, and no person was told since that the refund failed."""
    withdrawn = withdrawals_of(facts.id).filter(state=PipelineState.COMMITTED)
    told = Event.objects.filter(
        pipeline_id__in=withdrawn.values("pk"), type=EventType.ATTENTION, data__code="refund_failed"
    )
    return withdrawn.exists() and not told.exists()


class Objects(Reconciler):
    """Logos with our mark."""

    workflows = ("publish_posting",)

    def things(self, since: datetime | None) -> Iterator[Thing]:
        """All of them."""
        return (_of_object(each) for each in storage.objects(since) if each.reference)

    def again(self, thing: Thing) -> Thing | None:
        """Read its mark once more."""
        found = storage.described(thing.id)
        return _of_object(found) if found is not None else None

    def judge(self, thing: Thing, facts: Facts | None) -> Verdict | None:
        """Only a rolled-back pipeline has none."""
        if facts is None:
            return NOBODYS
        if facts.row.state == PipelineState.ROLLED_BACK:
            return Verdict("Its pipeline is rolled back: nothing will ever show it.", is_safe=True)
        logo = facts.of.get("logo")
        if logo is not None and facts.row.is_terminal and logo.data.get("key") != thing.id:
            return Verdict("Its pipeline is committed and shows another object: see who has stored it.")
        return None

    def repair(self, thing: Thing, repair: Repair) -> None:
        """Delete it; deleting nothing is fine."""
        repair.call("delete", {"key": thing.id})
        storage.delete(thing.id)


def _of_intent(intent: Intent) -> Thing:
    return Thing("payment_intent", intent.id, intent.reference, intent.created_at, intent)


def _of_object(stored: Stored) -> Thing:
    return Thing("object", stored.key, stored.reference, stored.stored_at, stored)
