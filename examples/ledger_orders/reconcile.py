"""Transactions in the ledger with our mark, judged by their order."""

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings

from examples.ledger_orders.providers import modern_treasury as ledger
from examples.ledger_orders.providers.modern_treasury import Marked, Unprocessable
from pipeline.findings import Repair
from pipeline.reconciliation import Reconciler, Thing, Verdict
from pipeline.states import PipelineState
from pipeline.verification import Facts
from pipeline.workflow import Refused


class Transactions(Reconciler):
    """A pending one of a rolled-back order is archived; a posted one, or one of nobody's, is a person's to decide."""

    workflows = ("place_order",)

    def things(self, since: datetime | None) -> Iterator[Thing]:
        """Those that are not archived; none where no ledger is set up."""
        listed = ledger.transactions(since) if settings.MODERN_TREASURY_API_KEY else iter(())
        return (_thing(each) for each in listed if each.status != "archived")

    def again(self, thing: Thing) -> Thing | None:
        """Read it by its id."""
        return _thing(ledger.marked(thing.id))

    def judge(self, thing: Thing, facts: Facts | None) -> Verdict | None:
        """By the order's state."""
        transaction: Marked = thing.what
        if transaction.status == "archived":
            return None
        if facts is None:
            return Verdict("Its mark is no order's here: another environment's, or the row is lost.")
        if facts.row.state != PipelineState.ROLLED_BACK:
            return None
        if transaction.status == "posted":
            return Verdict(f"{transaction.amount} were posted for an order that is rolled back: reverse it by hand.")
        return Verdict("Its order is rolled back, and it locks the buyer's funds.", is_safe=True)

    def finals(self, since: datetime | None) -> Iterator[str]:
        """Of orders with a posted item."""
        listed = ledger.transactions(since) if settings.MODERN_TREASURY_API_KEY else iter(())
        return (each.reference for each in listed if each.status == "posted")

    def repair(self, thing: Thing, repair: Repair) -> None:
        """Archive it. Refused when it was posted meanwhile."""
        call = repair.call("update", {"status": "archived"})
        try:
            status = ledger.update(thing.id, call).status
        except Unprocessable:
            status = ledger.retrieve(thing.id).status
        if status != "archived":
            raise Refused("not_archived", f"{thing.id} is {status}")


def _thing(transaction: Marked) -> Thing:
    return Thing("ledger_transaction", transaction.id, transaction.reference, transaction.created_at, transaction)
