"""The money: a hold on the card when staged, captured at the pivot, cancelled when turned back.

Two-phase on purpose: the PaymentIntent is created unconfirmed and its id recorded, and only a recorded id is
ever confirmed. So no late worker can hold money: an unconfirmed intent costs nobody anything, and a cancelled
one can never be confirmed. Every unknown outcome is answered by reading the intent by its recorded id.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings

from pipeline.run import REPLAY_HORIZON
from pipeline.states import Verb
from pipeline.workflow import Call, Outcome, Refused, Run, Step, Unknown, Wait
from postings import card_attempts
from postings.providers import stripe
from postings.providers.stripe import Intent, WrongState
from postings.steps.refund import send_refund


class PaymentStep(Step):
    """Authorise, capture, void: Stripe's manual capture."""

    name = "payment"
    label = "Authorise the payment"
    doing = "authorising the payment"
    pivot = True
    provider = "stripe"

    def stage(self, run: Run) -> Outcome:
        """A hold on the card. May need the customer (3-D Secure)."""
        intent = self._recorded(run) or self._create(run)
        if intent.status == "requires_confirmation":
            card_attempts.begin(run)
            params = {"payment_method": run.input["payment_method"]}
            intent = self._send(run, "confirm", params, intent, lambda call: stripe.confirm(intent.id, call))
        return self._held(run, intent)

    def commit(self, run: Run) -> Outcome:
        """Capture. An unknown capture is asked about until it is known; only Stripe's word refuses it."""
        intent = self._recorded(run) if run.has_called("capture", Verb.COMMIT) else None
        if intent is None or intent.status == "requires_capture":
            known = run.data["intent"]
            intent = self._send(run, "capture", {}, intent, lambda call: stripe.capture(known, call))
        if intent.status == "canceled":
            raise Refused(
                "hold_expired",
                f"{intent.id} was cancelled before its capture",
                title="Payment no longer possible",
                message="The reservation on your card has ended before it was charged. Nothing was charged.",
            )
        self._check(run, intent)
        if _is_given_back(intent):
            raise _given_back(intent)
        if intent.status != "succeeded" or intent.amount_received != run.input["plan"]["amount"]:
            raise Unknown("not_captured", f"{intent.id} is {intent.status}", outage=False)
        return {"captured": intent.amount_received}

    def rollback(self, run: Run) -> dict[str, int] | None:
        """Cancel the intent, which releases the hold. An intent that was captured all the same is refunded."""
        intent = self._recorded(run) or self._made_but_not_recorded(run)
        if intent is None or intent.status == "canceled":
            return None
        if intent.status != "succeeded":
            reason = "requested_by_customer" if run.is_cancelled else "abandoned"
            known = intent.id
            params = {"cancellation_reason": reason}
            intent = self._send(run, "cancel", params, intent, lambda call: stripe.cancel(known, call))
        if intent.status == "succeeded" and intent.amount_refunded < intent.amount_received:
            send_refund(run, intent)
        elif intent.status not in ("succeeded", "canceled"):
            raise Unknown("not_cancelled", f"{intent.id} is {intent.status}", outage=False)
        return {"refunded": intent.amount_received} if intent.status == "succeeded" else None

    # --- the intent ---------------------------------------------------------------------------

    def _recorded(self, run: Run) -> Intent | None:
        return stripe.retrieve(run.data["intent"]) if "intent" in run.data else None

    def _create(self, run: Run) -> Intent:
        """Create it unconfirmed, and record its id before anything is confirmed."""
        plan = run.input["plan"]
        call = run.call(
            "create",
            {
                "amount": plan["amount"],
                "currency": plan["currency"].lower(),
                "capture_method": "manual",
                "payment_method": run.input["payment_method"],
                "payment_method_types": ["card"],
                "description": f"Job posting: {plan['name']}",
                "metadata": {"pipeline_id": run.reference},
            },
        )
        intent = self._answer_of(run, call) or run.send(run.renew("create"), stripe.create)
        self._check(run, intent)
        run.record(intent=intent.id)
        return intent

    def _answer_of(self, run: Run, call: Call) -> Intent | None:
        """The intent that the call has made or makes now; None when listing proved that it made nothing and never will.

        Stripe replays a stored 500 for a day, and forgets keys after one: then its list tells, by our mark. How long
        ago a key was used is counted from the pipeline's beginning: the record of its first use may have been lost
        with a database that was restored from a backup.
        """
        if call.is_replayable(run.now) and run.now - run.created_at < REPLAY_HORIZON:
            try:
                return run.send(call, stripe.create)
            except Unknown as unknown:
                if call.is_new or unknown.code != "server_error":
                    raise
        return stripe.find(run.reference, call.first_sent_at)

    def _made_but_not_recorded(self, run: Run) -> Intent | None:
        """The intent of a create whose answer, or whose record in a restored database, was lost. None if refused."""
        intent = run.recover(
            "create",
            replay=lambda call: self._answer_of(run, call),
            find=lambda: stripe.find(run.reference, run.created_at),
        )
        if intent is not None:
            run.record(intent=intent.id)
        return intent

    def _send(
        self, run: Run, name: str, params: dict[str, Any], seen: Intent | None, send: Callable[[Call], Intent]
    ) -> Intent:
        """Send a call on the recorded intent; whatever is unclear is answered by reading it.

        A replay that answers 5xx again is Stripe's stored answer: if reading shows that nothing changed, the
        call gets a new generation. Past the keys' horizon reading comes first anyway.
        """
        call = run.call(name, params)
        if not call.is_replayable(run.now):
            call = run.renew(name)  # `seen` was read by this attempt and shows that nothing happened
        try:
            return run.send(call, send)
        except WrongState:
            return stripe.retrieve(run.data["intent"])
        except Unknown as unknown:
            if call.is_new or unknown.code != "server_error":
                raise
        intent = stripe.retrieve(run.data["intent"])
        if seen is None or intent.status != seen.status:
            return intent
        return run.send(run.renew(name), send)

    def _held(self, run: Run, intent: Intent) -> Outcome:
        self._check(run, intent)
        if _is_given_back(intent):
            raise _given_back(intent)
        if intent.status in ("requires_capture", "succeeded"):
            # Captured: by this pipeline, before its database was restored from a backup. Its commit finds it so.
            return {"capture_before": intent.capture_before.isoformat() if intent.capture_before else None}
        if intent.status == "requires_action":
            asked_at = run.earlier("confirm", Verb.STAGE).first_sent_at
            action = {"type": "confirm_payment", "client_secret": intent.client_secret}
            return Wait(action, deadline=asked_at + settings.PAYMENT_WAITING)
        if intent.status == "requires_payment_method":
            raise stripe.declined(intent.failure_code)
        if intent.status == "canceled":
            raise Refused(
                "payment_cancelled",
                f"{intent.id} was cancelled at Stripe",
                title="Payment cancelled",
                message="The payment was cancelled. Nothing was charged: please submit the posting again.",
            )
        raise Unknown("payment_processing", f"{intent.id} is {intent.status}", outage=False)

    def _check(self, run: Run, intent: Intent) -> None:
        """Nothing goes on with an intent that is not exactly what was asked for."""
        plan = run.input["plan"]
        found = (intent.amount, intent.currency, intent.reference)
        if found != (plan["amount"], plan["currency"].lower(), run.reference):
            raise Unknown("intent_differs", f"{intent.id} has another amount, currency or mark", outage=False)


def _is_given_back(intent: Intent) -> bool:
    return intent.status == "succeeded" and intent.amount_refunded >= intent.amount_received


def _given_back(intent: Intent) -> Refused:
    return Refused(
        "payment_refunded",
        f"{intent.id} was captured and wholly refunded",
        title="Payment refunded",
        message="The payment was refunded. Please submit the posting again if you still want it.",
    )
