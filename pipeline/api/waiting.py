"""`Prefer: wait` around a synchronous view: it answers first; then, without a connection, its pipeline is awaited.

Under ASGI a wait costs a coroutine; under WSGI everything works the same but holds a thread.
"""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.views import APIView

from pipeline.api.headers import wait_seconds
from pipeline.api.problems import Problem
from pipeline.api.watch import Mark, TooManyWatchers

SyncView = Callable[..., HttpResponseBase]
AsyncView = Callable[..., Awaitable[HttpResponseBase]]  # Django takes either; its stubs know the other one


class PipelineResponse(HttpResponse):
    """An answer about a pipeline: where it was when the answer was made."""

    def __init__(self, *args: Any, pipeline: uuid.UUID, mark: Mark, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline = pipeline
        self.mark = mark
        self.is_replay = False


Then = Callable[[HttpRequest, PipelineResponse, int], Awaitable[HttpResponseBase]]


def with_wait(view: type[APIView], then: Then) -> SyncView:
    """The view's callable; `then` goes on where the client prefers to wait and there is a pipeline to wait for."""
    answer: SyncView = view.as_view()

    async def waiting(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        seconds = 0 if request.method == "HEAD" else wait_seconds(request)
        if not seconds:
            plain: HttpResponseBase = await sync_to_async(answer)(request, *args, **kwargs)
            return plain
        response: HttpResponseBase = await sync_to_async(released(answer))(request, *args, **kwargs)
        if not isinstance(response, PipelineResponse):
            return response
        try:
            final = await then(request, response, seconds)
        except (TooManyWatchers, OperationalError, InterfaceError):
            return response  # as if nothing had been preferred: what it says still holds
        except Problem as problem:
            return problem.response()
        final["Preference-Applied"] = "wait"
        return final

    waiting.at_once = answer  # type: ignore[attr-defined] # for those who do not wait, where nothing else is awaited
    return as_api_view(waiting, view)


def as_api_view(function: AsyncView, view: type[APIView]) -> SyncView:
    """Let the schema's generator and Django's CSRF check see the APIView behind the function."""
    function.cls = view  # type: ignore[attr-defined]
    function.initkwargs = {}  # type: ignore[attr-defined]
    function.csrf_exempt = True  # type: ignore[attr-defined] # DRF's session authentication checks it itself
    return cast("SyncView", function)


def released(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, giving its thread's database connection back afterwards: nobody waits with one."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            if not connection.in_atomic_block:
                connection.close()

    return call
