"""An order's submission: what makes two the same, what is refused, and what the pipeline is given."""

from collections.abc import Mapping
from typing import Any

from examples.ledger_orders.serializers import OrderSubmission
from examples.ledger_orders.workflow import PlaceOrder
from pipeline.api.acceptance import Acceptance, Invalid, Valid
from pipeline.api.fields import as_whole, normal
from pipeline.api.problems import field_errors

Fields = Mapping[str, Any]


class OrderAcceptance(Acceptance):
    """Submissions of `place_order`."""

    workflow = PlaceOrder

    def content(self, fields: Fields) -> Mapping[str, Any]:
        """Buyer and items; what is no list of items stays as it is."""
        items = fields.get("line_items")
        same = [_same(item) for item in items] if isinstance(items, list) else {"raw": items}
        return {"buyer": _text(fields.get("buyer")), "line_items": same}

    def validate(self, fields: Fields) -> Valid:
        """Every wrong field in one Invalid."""
        serializer = OrderSubmission(data=dict(fields))
        if not serializer.is_valid():
            raise Invalid(field_errors(serializer.errors))
        values = serializer.validated_data
        buyer = values["buyer"]
        return Valid(
            input={
                "buyer": str(buyer.pk),
                "account": buyer.account,
                "payables": buyer.payables,
                "line_items": [dict(item) for item in values["line_items"]],
            }
        )


def _same(item: Any) -> Any:
    if not isinstance(item, Mapping):
        return {"raw": item}
    amount = as_whole(item.get("amount"))
    return {"vendor": _text(item.get("vendor")), "amount": {"raw": item.get("amount")} if amount is None else amount}


def _text(value: Any) -> Any:
    return normal(value).strip() if isinstance(value, str) else {"raw": value}
