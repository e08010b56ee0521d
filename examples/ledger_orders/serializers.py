"""What an order's submission must be, and what the API shows."""

from typing import Any, Final

from rest_framework import serializers

from examples.ledger_orders.models import Buyer
from pipeline.api.fields import Line, Whole

MOST_ITEMS: Final = 100
LARGEST_AMOUNT: Final = 10**12  # in the minor unit: beyond any order, within every integer


class BuyerField(serializers.UUIDField):
    """A buyer's id; its value is the Buyer."""

    default_error_messages = {
        "invalid": "Send a buyer's id as /api/v1/buyers/ has it.",
        "unknown_buyer": "There is no such buyer: see /api/v1/buyers/.",
    }

    def to_internal_value(self, data: Any) -> Any:
        """One lookup, and only for what may be an id."""
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        buyer = Buyer.objects.filter(pk=super().to_internal_value(data)).first()
        if buyer is None:
            self.fail("unknown_buyer")
        return buyer


class LineItem(serializers.Serializer[Any]):
    """What one vendor gets."""

    vendor = Line(max_length=120)
    amount = Whole(min_value=1, max_value=LARGEST_AMOUNT, help_text="In the minor unit of the buyer's currency.")


class OrderSubmission(serializers.Serializer[Any]):
    """An order. Unknown fields are ignored."""

    buyer = BuyerField()
    line_items = LineItem(many=True, allow_empty=False, max_length=MOST_ITEMS)  # type: ignore[call-arg] # the list's


class BuyerResource(serializers.Serializer[Any]):
    """A buyer."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    available_balance = serializers.IntegerField(help_text="In the minor unit, as the ledger says now.")


class BuyerPage(serializers.Serializer[Any]):
    """All buyers."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = BuyerResource(many=True)
