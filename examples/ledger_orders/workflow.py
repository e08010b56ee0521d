"""An order of 1 to 100 line items: as many steps as it has items, each one transaction in the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

from examples.ledger_orders.steps.item import ItemStep
from pipeline.workflow import Planned, Words, Workflow


class PlaceOrder(Workflow):
    """A buyer pays several vendors: all of them or none.

    step      stage                                        commit          rollback
    item_N    pending, if the buyer's balance allows it    posted          archived

    There is no pivot: once every item is staged its funds are locked, and posting cannot be refused.
    """

    name, version = "place_order", 1
    steps = [ItemStep]
    words = Words(
        staging="We are setting the money for your order aside",
        committing="We are paying for your order",
        committed="Your order is paid",
        rolling_back="We are releasing the money",
        rolled_back="Not ordered, and nothing was paid",
        unharmed="Nothing was paid.",
        cancel="Cancel this order",
    )

    @classmethod
    def plan(cls, input: Mapping[str, Any]) -> Sequence[Planned]:
        """One step for each line item."""
        items = input["line_items"]
        return [
            Planned(ItemStep, name=f"item_{number}", label=f"Line item {number} of {len(items)}", args=item)
            for number, item in enumerate(items, start=1)
        ]

    @classmethod
    def result(cls, input: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        """The order with each item's ledger transaction."""
        items = [
            dict(item) | {"ledger_transaction": steps[f"item_{number}"]["transaction"]}
            for number, item in enumerate(input["line_items"], start=1)
        ]
        total = sum(item["amount"] for item in items)
        return {"order": {"buyer": input["buyer"], "total": total, "line_items": items}}
