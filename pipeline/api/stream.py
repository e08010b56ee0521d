"""A pipeline's events as `text/event-stream` (WHATWG HTML, server-sent events), resumable, ended by the last one."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Final

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request

from pipeline.api.clients import address_of
from pipeline.api.events import PAGE, as_json, events_after, parse_seq
from pipeline.api.problems import Problem, no_pipeline, unavailable
from pipeline.api.schema import describe_stream
from pipeline.api.views import PipelineView
from pipeline.api.waiting import PipelineResponse, SyncView, as_api_view, released
from pipeline.api.watch import TICK, Mark, Seat, TooManyWatchers, is_ending, mark_of, watcher
from pipeline.models import Event, Pipeline
from pipeline.states import EventType

HEARTBEAT: Final = 15.0  # seconds; proxies close what is silent for a minute
RETRY_WHEN_FULL: Final = 5  # seconds
_LAST: Final = frozenset({EventType.PIPELINE_COMMITTED, EventType.PIPELINE_ROLLED_BACK})
_PING: Final = b": still here\n\n"
_COME_BACK: Final = b"retry: 1000\n\n"  # milliseconds: this process ends, another one answers
_HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class StreamView(PipelineView):
    """GET: the events as they come. `Last-Event-ID` (or `?after=`) resumes after that seq."""

    @describe_stream
    def get(self, request: Request, pipeline_id: uuid.UUID) -> HttpResponse:
        """204 when a client that has the terminal event comes back: that ends an EventSource for good.

        Likewise for a pipeline whose history is erased.
        """
        row = Pipeline.objects.only("state", "seq", "updated_at", "reaped_at").filter(pk=pipeline_id).first()
        if row is None:
            raise no_pipeline()
        after = _position(request)
        if row.is_terminal and (after >= row.seq or row.reaped_at is not None):
            return HttpResponse(status=204, headers={"Cache-Control": "no-cache"})
        return PipelineResponse(b"", content_type="text/event-stream", pipeline=pipeline_id, mark=mark_of(row))

    @classmethod
    def as_streaming_view(cls) -> SyncView:
        """The callable for urls."""
        head = cls.as_view()

        async def stream(request: HttpRequest, pipeline_id: uuid.UUID) -> HttpResponseBase:
            answer: HttpResponseBase = await sync_to_async(released(head))(request, pipeline_id)
            if not isinstance(answer, PipelineResponse):
                return answer
            if request.method == "HEAD":
                return HttpResponse(content_type="text/event-stream", headers=_HEADERS)
            try:
                lines = _Lines(pipeline_id, _position(request), answer.mark, address_of(request))
            except TooManyWatchers:
                return _full().response()
            return StreamingHttpResponse(
                lines.follow() if isinstance(request, ASGIRequest) else lines.follow_in_thread(),
                content_type="text/event-stream",
                headers=_HEADERS,
            )

        return as_api_view(stream, cls)


class _Lines:
    """The bytes of one stream, each event once. It takes a seat: TooManyWatchers."""

    def __init__(self, pipeline: uuid.UUID, after: int, mark: Mark, client: str) -> None:
        self._pipeline = pipeline
        self._after = after
        self._mark = mark
        self._has_ended = False
        self._seat = Seat(client)

    async def follow(self) -> AsyncIterator[bytes]:
        """Under ASGI: a coroutine that holds nothing while it waits."""
        with self._seat:
            while True:
                events = await sync_to_async(released(events_after))(self._pipeline, self._after)
                if events:
                    yield self._told(events)
                if self._has_ended:
                    return
                if len(events) < PAGE and not await self._has_news():
                    if is_ending():
                        yield _COME_BACK
                        return
                    yield _PING

    def follow_in_thread(self) -> Iterator[bytes]:
        """Under WSGI: holds a thread, and asks by itself."""
        spoke = time.monotonic()
        with self._seat:
            while True:
                events = events_after(self._pipeline, self._after)
                if events:
                    yield self._told(events)
                    spoke = time.monotonic()
                if self._has_ended:
                    return
                if is_ending():
                    yield _COME_BACK
                    return
                if len(events) < PAGE:
                    time.sleep(TICK)
                if time.monotonic() - spoke > HEARTBEAT:
                    yield _PING
                    spoke = time.monotonic()

    async def _has_news(self) -> bool:
        """Wait for a change; False when it is time for a heartbeat."""
        mark = await watcher().changed(self._pipeline, self._mark, HEARTBEAT)
        if mark is not None:
            self._mark = mark
        return mark is not None

    def _told(self, events: list[Event]) -> bytes:
        self._after = events[-1].seq
        self._has_ended = any(event.type in _LAST for event in events)
        return b"".join(map(_message, events))


def _full() -> Problem:
    detail = "As many streams are open as this server keeps: poll the pipeline, or come back."
    return unavailable(detail, retry_after=RETRY_WHEN_FULL)


def _message(event: Event) -> bytes:
    data = json.dumps(as_json(event), separators=(",", ":"))
    return f"id: {event.seq}\nevent: {event.type}\ndata: {data}\n\n".encode()


def _position(request: HttpRequest | Request) -> int:
    said = request.headers.get("Last-Event-ID", "").strip() or request.GET.get("after", "0")
    return parse_seq(said, "Last-Event-ID")
