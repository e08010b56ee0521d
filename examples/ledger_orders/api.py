"""Buyers and orders over HTTP. An order is answered and followed exactly as a posting is."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from examples.ledger_orders.models import Buyer
from examples.ledger_orders.providers import modern_treasury as ledger
from examples.ledger_orders.serializers import BuyerPage, OrderSubmission
from examples.ledger_orders.submission import OrderAcceptance
from pipeline.api.accept import AcceptView
from pipeline.api.parsers import StrictJSONParser
from pipeline.api.problems import unavailable
from pipeline.api.schema import Decorator, describe_accept, problems
from pipeline.api.throttles import Throttle
from pipeline.api.waiting import PipelineResponse
from pipeline.workflow import StepFailure

log = logging.getLogger(__name__)

_describe_order: Final[Decorator] = describe_accept(
    "Place an order",
    {"application/json": OrderSubmission},
    operation_id="place_order",
    description="One ledger transaction for each line item, all of them or none. Too little money on the buyer's "
    "account ends in `rolled_back` with the code `not_enough_funds`; with `Prefer: wait` it is a 402.",
)
_describe_buyers: Final[Decorator] = extend_schema(
    operation_id="buyers", summary="Buyers, with what they can spend now", responses={200: BuyerPage} | problems()
)


class OrdersView(AcceptView):
    """POST places an order. JSON only: a form has no list of items."""

    acceptance = OrderAcceptance()
    parser_classes = [StrictJSONParser]

    @_describe_order
    def post(self, request: Request) -> PipelineResponse:
        """202, or what API.md's table says."""
        return super().post(request)

    @classmethod
    def location(cls, resource: Mapping[str, Any], site: str) -> str:
        """The pipeline itself: an order is nothing beside its ledger transactions, which its result names."""
        return str(resource["links"]["self"])

    @classmethod
    def is_payment_refused(cls, error: Mapping[str, Any]) -> bool:
        """The buyer's account does not cover it."""
        return error.get("code") == "not_enough_funds"


class BuyersView(APIView):
    """GET the buyers."""

    authentication_classes = []
    throttle_classes = [Throttle]
    throttle_scope = "read"

    @_describe_buyers
    def get(self, request: Request) -> Response:
        """All of them on one page; 503 while the ledger does not answer."""
        buyers = list(Buyer.objects.all())
        try:
            balances = ledger.available([buyer.account for buyer in buyers]) if buyers else {}
        except StepFailure as failure:
            raise unavailable("The ledger does not answer at the moment: repeat the request.") from failure
        return Response({"next": None, "previous": None, "results": _shown(buyers, balances)})


def _shown(buyers: list[Buyer], balances: Mapping[str, int]) -> list[dict[str, Any]]:
    """A buyer whose account the ledger does not know cannot order, and is not listed."""
    for buyer in buyers:
        if buyer.account not in balances:
            log.warning("the ledger has no account %s of buyer %s: run bootstrap_examples", buyer.account, buyer.pk)
    return [
        {"id": str(buyer.pk), "name": buyer.name, "available_balance": balances[buyer.account]}
        for buyer in buyers
        if buyer.account in balances
    ]
