"""The shop over HTTP: accepting postings, the published ones, the plans on sale."""

import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.dateparse import parse_datetime
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from pipeline.api.accept import AcceptView
from pipeline.api.problems import Problem, not_found
from pipeline.api.read import base_url
from pipeline.api.resource import rfc3339
from pipeline.api.throttles import Throttle
from pipeline.api.waiting import PipelineResponse
from postings.api.schema import (
    CURSOR,
    describe_plans,
    describe_posting,
    describe_postings,
    describe_submission,
)
from postings.api.serializers import PlanSerializer, posting_json
from postings.models import Plan, Posting, PostingState
from postings.submission import PostingAcceptance

PAGE: Final = 50
_TIMED_OUT: Final = frozenset({"staging_timed_out", "customer_timed_out"})


class PostingsView(AcceptView):
    """POST submits a posting; GET lists the published ones."""

    acceptance = PostingAcceptance()

    def get_throttles(self) -> list[Any]:
        """Reading and submitting have rates of their own."""
        self.throttle_scope = "submit" if self.request.method == "POST" else "read"
        return super().get_throttles()

    @describe_submission
    def post(self, request: Request) -> PipelineResponse:
        """202, or what API.md's table says."""
        return super().post(request)

    @describe_postings
    def get(self, request: Request) -> Response:
        """Newest first, in pages of 50 by the last one's time and id."""
        site = base_url(request)
        after = request.query_params.get("after")
        found = _published().order_by("-published_at", "-pk")
        rows = list((found if after is None else _older(found, after))[: PAGE + 1])
        shown = rows[:PAGE]
        following = f"{site}{request.path}?after={_cursor(shown[-1])}" if len(rows) > PAGE else None
        return Response(
            {
                "next": following,
                "previous": None if after is None else f"{site}{request.path}",
                "results": [posting_json(row, site) for row in shown],
            }
        )

    @classmethod
    def location(cls, resource: Mapping[str, Any], site: str) -> str:
        """The published posting's resource."""
        return f"{site}/api/v1/postings/{resource['result']['posting']['id']}/"

    @classmethod
    def is_payment_refused(cls, error: Mapping[str, Any]) -> bool:
        """Only the card's own refusal asks for another card."""
        return error.get("step") == "payment" and error.get("code") not in _TIMED_OUT


class PostingView(APIView):
    """GET one published posting."""

    authentication_classes = []
    throttle_classes = [Throttle]
    throttle_scope = "read"

    @describe_posting
    def get(self, request: Request, posting_id: uuid.UUID) -> Response:
        """200; 404 unless it is published and has not expired."""
        posting = _published().filter(pk=posting_id).first()
        if posting is None:
            raise not_found("There is no published posting of this id.")
        return Response(posting_json(posting, base_url(request)))


class PlansView(APIView):
    """GET the plans on sale, by price."""

    authentication_classes = []
    throttle_classes = [Throttle]
    throttle_scope = "read"

    @describe_plans
    def get(self, request: Request) -> Response:
        """All of them on one page: a shop has a handful."""
        plans = Plan.objects.filter(is_on_sale=True).order_by("amount", "slug")
        return Response({"next": None, "previous": None, "results": PlanSerializer(plans, many=True).data})


def _published() -> QuerySet[Posting]:
    return Posting.objects.filter(state=PostingState.PUBLISHED, expires_at__gt=Now()).defer("description_html")


def _cursor(posting: Posting) -> str:
    return f"{rfc3339(posting.published_at)}_{posting.pk}"


def _older(postings: QuerySet[Posting], cursor: str) -> QuerySet[Posting]:
    """Those after the cursor's posting; Problem 400 for what is no cursor."""
    text, _, key = cursor.partition("_")
    try:
        at, last = parse_datetime(text), uuid.UUID(key)
    except ValueError:  # such as the 31st of February
        at = None
    if at is None or not re.fullmatch(CURSOR, cursor):
        raise Problem(400, "invalid_cursor", "Wrong position", "Follow `next` as it was given.")
    return postings.filter(Q(published_at__lt=at) | Q(published_at=at, pk__lt=last))
