"""One pipeline over HTTP: status, events, cancel, resume. Its unguessable id is all that is needed to use them."""

import uuid

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from pipeline import actions
from pipeline.api.clients import address_of
from pipeline.api.events import events_after, page, parse_seq
from pipeline.api.headers import is_known
from pipeline.api.problems import Problem, no_pipeline
from pipeline.api.read import base_url, pipeline_response
from pipeline.api.resource import path
from pipeline.api.schema import describe_action, describe_events, describe_status
from pipeline.api.throttles import Throttle
from pipeline.api.waiting import PipelineResponse, SyncView, with_wait
from pipeline.api.watch import until_changed
from pipeline.errors import IllegalAction
from pipeline.models import Pipeline


class PipelineView(APIView):
    """What all of them share: no authentication, so no statement for it."""

    authentication_classes = []
    throttle_classes = [Throttle]
    throttle_scope = "read"


class StatusView(PipelineView):
    """GET: the resource; always 200 while the pipeline is known."""

    @describe_status
    def get(self, request: Request, pipeline_id: uuid.UUID) -> PipelineResponse:
        """200, or 304 when the client has this very resource."""
        return _unless_known(request, pipeline_response(request, pipeline_id))

    @classmethod
    def as_waiting_view(cls) -> SyncView:
        """The callable for urls: `Prefer: wait` included."""
        return with_wait(cls, _after_wait)


class EventsView(PipelineView):
    """GET: the history in pages of 100, oldest first; `?after=seq`."""

    @describe_events
    def get(self, request: Request, pipeline_id: uuid.UUID) -> Response:
        """200."""
        after = parse_seq(request.query_params.get("after", "0"), "after")
        last = Pipeline.objects.filter(pk=pipeline_id).values_list("seq", flat=True).first()
        if last is None:
            raise no_pipeline()
        address = f"{base_url(request)}{path(pipeline_id)}events/"
        # Later events may be there already: `last` was read first, so that no page ends before it is full.
        body = page(events_after(pipeline_id, after), after, last, address)
        return Response(body, headers={"Cache-Control": "private, no-cache"})


class ActView(PipelineView):
    """POST: something a customer may ask for; 202 with the resource, 409 when it is not possible now."""

    throttle_scope = "act"

    def act(self, pipeline: uuid.UUID) -> None:
        """Do it; IllegalAction."""
        raise NotImplementedError

    def post(self, request: Request, pipeline_id: uuid.UUID) -> PipelineResponse:
        """The body is ignored."""
        if not Pipeline.objects.filter(pk=pipeline_id).exists():
            raise no_pipeline()
        try:
            self.act(pipeline_id)
        except IllegalAction as error:
            raise Problem(409, "illegal_action", "Not possible now", str(error), pipeline=pipeline_id) from error
        response = pipeline_response(request, pipeline_id, 202)
        response["Location"] = path(pipeline_id)
        return response


@extend_schema_view(post=describe_action("cancel_pipeline", "Withdraw: possible until it is decided"))
class CancelView(ActView):
    """The customer withdraws."""

    def act(self, pipeline: uuid.UUID) -> None:
        """Roll back."""
        actions.cancel(pipeline)


@extend_schema_view(post=describe_action("resume_pipeline", "The customer has acted: ask the provider now"))
class ResumeView(ActView):
    """The customer has acted (3-D Secure)."""

    def act(self, pipeline: uuid.UUID) -> None:
        """Ask the provider now."""
        actions.resume(pipeline)


def _unless_known(request: HttpRequest | Request, response: PipelineResponse) -> PipelineResponse:
    """304 in place of a resource that the client has."""
    if is_known(request, response["ETag"]):
        response.status_code = 304
        response.content = b""
        del response["Content-Type"]
    return response


def _current(request: HttpRequest, pipeline: uuid.UUID) -> HttpResponse:
    return _unless_known(request, pipeline_response(request, pipeline))


async def _after_wait(request: HttpRequest, response: PipelineResponse, seconds: int) -> HttpResponseBase:
    """Go on until the resource is another than the client's (or, without If-None-Match, than at the request)."""
    has_news = response.status_code == 200 and "If-None-Match" in request.headers
    if has_news or response.mark.is_terminal:
        return response
    if await until_changed(response.pipeline, response.mark, seconds, client=address_of(request)) is None:
        return response
    return await sync_to_async(_current)(request, response.pipeline)
