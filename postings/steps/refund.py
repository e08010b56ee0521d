"""The money back: checked when staged, refunded at the pivot. It cannot be undone, so it is decided first and alone.

A refund is sent under a stored key. What is unclear is answered by reading the intent's charge, and Stripe never
refunds more than was captured: whatever crashes or repeats, the customer gets the price back once.
"""

from pipeline.workflow import Refused, Run, Step, Unknown
from postings.providers import stripe
from postings.providers.stripe import Intent


class RefundStep(Step):
    """Check that it was captured, refund it; there is nothing to roll back."""

    name = "refund"
    label = "Refund the payment"
    doing = "checking the payment"
    pivot = True
    provider = "stripe"

    def stage(self, run: Run) -> dict[str, str]:
        """The intent is the one that paid for the posting, and its money is ours."""
        intent = self._read(run)
        if intent.status != "succeeded":
            raise _refused("payment_not_captured", f"{intent.id} is {intent.status}")
        if intent.reference != run.input["published_by"]:
            raise _refused("payment_differs", f"{intent.id} belongs to another pipeline")
        return {"intent": intent.id}

    def commit(self, run: Run) -> dict[str, int]:
        """Refund what was captured and is not refunded yet, by whomever."""
        intent = self._read(run)
        if intent.amount_refunded < intent.amount_received:
            send_refund(run, intent)
            intent = self._read(run)
        if intent.amount_refunded < intent.amount_received:
            raise Unknown("not_refunded", f"{intent.id} is not wholly refunded", outage=False)
        return {"refunded": intent.amount_refunded}

    def _read(self, run: Run) -> Intent:
        return stripe.retrieve(run.input["intent"])


def send_refund(run: Run, seen: Intent) -> None:
    """Refund an intent. `seen` was read by this attempt, and shows that the last generation did nothing.

    So a new one is right where the key is forgotten, or Stripe replays a stored 500.
    """
    mark = {"pipeline_id": run.reference, "made_by": "pipeline"}
    call = run.call("refund", {"payment_intent": seen.id, "metadata": mark})
    if not call.is_replayable(run.now):
        call = run.renew("refund")
    try:
        stripe.refund(call)
    except Unknown as unknown:
        if call.is_new or unknown.code != "server_error":
            raise
        if stripe.retrieve(seen.id).amount_refunded == seen.amount_refunded:
            stripe.refund(run.renew("refund"))


def _refused(code: str, detail: str) -> Refused:
    message = "The payment of this posting cannot be refunded from here: look at it in Stripe's dashboard."
    return Refused(code, detail, title="Not refundable", message=message)
