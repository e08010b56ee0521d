"""One line item: a ledger transaction that is pending when staged, then posted or archived.

A pending transaction locks its funds: the ledger refuses the one that would take the buyer's available balance
below zero, so two orders racing for the same funds cannot both succeed.
"""

from typing import Any

from examples.ledger_orders.providers import modern_treasury as ledger
from examples.ledger_orders.providers.modern_treasury import Transaction, Unprocessable
from pipeline.workflow import Call, Refused, Run, Step, Unavailable


class ItemStep(Step):
    """Create pending, update to posted, update to archived."""

    name = "item"
    label = "Reserve the funds"
    doing = "reserving the buyer's funds"
    provider = "modern_treasury"

    def stage(self, run: Run) -> dict[str, str]:
        """Lock the item's amount on the buyer's account. The ledger replays a create that it has done."""
        call = run.call("create", _pending(run))
        if not call.is_replayable(run.now):
            found = ledger.find(call.params["external_id"])
            if found is not None:
                return {"transaction": found.id}
            call = run.renew("create")
        try:
            made = run.send(call, ledger.create)
        except Unprocessable as refused:
            made = self._ours_or_refused(run, call, refused)
        return {"transaction": made.id}

    def commit(self, run: Run) -> None:
        """Post it: final for the ledger, too."""
        self._finish(run, run.data["transaction"], "posted")

    def rollback(self, run: Run) -> None:
        """Archive it, which frees the funds."""
        made = self._made(run)
        if made is not None:
            self._finish(run, made, "archived")

    def _ours_or_refused(self, run: Run, call: Call, refused: Unprocessable) -> Transaction:
        """The ledger has one code for everything that it refuses: so ask whether ours exists, then for the balance."""
        found = ledger.find(call.params["external_id"])
        if found is not None:
            return found
        account = run.input["account"]
        if ledger.available([account]).get(account, 0) >= run.args["amount"]:
            # Freed a moment later, perhaps: the next attempt tells.
            detail = f"refused although the funds are there: {refused.detail}"
            raise Unavailable("ledger_refused", detail, outage=False)
        run.was_refused(call)  # before it turns back: rolling back does not try to create it once more
        raise Refused(
            "not_enough_funds",
            "the buyer's available balance is less than the item's amount",
            title="Not enough funds",
            message="The buyer's balance does not cover this order. Nothing was taken from it.",
        )

    def _made(self, run: Run) -> str | None:
        """The transaction's id, if staging made one.

        When its answer was lost, the create is replayed rather than looked for: a first one that is still on its
        way then finds its key used, and nothing is left behind.
        """
        if "transaction" in run.data:
            return str(run.data["transaction"])
        made = run.recover("create", replay=_replayed, find=lambda: ledger.find(_external_id(run)))
        return made.id if made is not None else None

    def _finish(self, run: Run, transaction: str, status: str) -> None:
        """Bring it to its final status, which may be said twice: what is final already is read and compared."""
        call = run.call("update", {"status": status})
        try:
            found = ledger.update(transaction, call)
        except Unprocessable:
            found = ledger.retrieve(transaction)
        if found.status != status:
            raise Refused("ledger_differs", f"{transaction} is {found.status} and cannot become {status}")


def _external_id(run: Run) -> str:
    return f"{run.reference}:{run.step}"


def _replayed(call: Call) -> Transaction | None:
    """The transaction that the call makes or has made; None when it makes none now: reading tells of before."""
    try:
        return ledger.create(call)
    except Unprocessable:
        return None


def _pending(run: Run) -> dict[str, Any]:
    """The transaction as it is sent: the buyer's account pays, what is owed to vendors grows."""
    amount = run.args["amount"]
    return {
        "status": "pending",
        "external_id": _external_id(run),
        "description": f"Order for {run.args['vendor']}",
        "metadata": {"pipeline_id": run.reference, "step": run.step},
        "ledger_entries": [
            {
                "amount": amount,
                "direction": "debit",
                "ledger_account_id": run.input["account"],
                "available_balance_amount": {"gte": 0},
            },
            {"amount": amount, "direction": "credit", "ledger_account_id": run.input["payables"]},
        ],
    }
