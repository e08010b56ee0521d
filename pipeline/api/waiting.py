"""`Prefer: wait` around a synchronous view: it answers first; then, without a connection, its pipeline is awaited.

Under ASGI a wait costs a coroutine; under WSGI everything works the same but holds a thread.
"""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.views import APIView

from pipeline.api.headers import wait_seconds
from pipeline.api.watch import Mark, TooManyWatchers

SyncView = Callable[..., HttpResponseBase]
AsyncView = Callable[..., Awaitable[HttpResponseBase]]


class PipelineResponse(HttpResponse):
    """An answer about a pipeline: where it was when the answer was made."""

    def __init__(self, *args: Any, pipeline: uuid.UUID, mark: Mark, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline = pipeline
        self.mark = mark
        self.is_replay = False


Then = Callable[[HttpRequest, PipelineResponse, int], Awaitable[HttpResponseBase]]


def with_wait(view: type[APIView], then: Then) -> AsyncView:
    """The view's callable; `then` goes on where the client prefers to wait and there is a pipeline to wait for."""
    answer: SyncView = view.as_view()

    async def waiting(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        seconds = wait_seconds(request)
        if not seconds:
            return await sync_to_async(answer)(request, *args, **kwargs)
        response = await sync_to_async(released(answer))(request, *args, **kwargs)
        if not isinstance(response, PipelineResponse):
            return response
        try:
            final = await then(request, response, seconds)
        except TooManyWatchers:
            return response  # as if nothing had been preferred
        final["Preference-Applied"] = "wait"
        return final

    return as_api_view(waiting, view)


def as_api_view(function: AsyncView, view: type[APIView]) -> AsyncView:
    """Let the schema's generator and Django's CSRF check see the APIView behind the function."""
    function.cls = view  # type: ignore[attr-defined]
    function.initkwargs = {}  # type: ignore[attr-defined]
    function.csrf_exempt = True  # type: ignore[attr-defined] # DRF's session authentication checks it itself
    return function


def released(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, giving its thread's database connection back afterwards: nobody waits with one."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            if not connection.in_atomic_block:
                connection.close()

    return call
