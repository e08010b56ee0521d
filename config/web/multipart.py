"""Forms with files are read by the API's parser everywhere: none of their files is lost."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from pipeline.api.parsers import read_strictly


@sync_and_async_middleware
def strict_forms(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Middleware: before anything looks at `request.POST`, as the CSRF check does."""
    if iscoroutinefunction(get_response):

        async def later(request: HttpRequest) -> HttpResponseBase:
            read_strictly(request)
            answer: Awaitable[HttpResponseBase] = get_response(request)
            return await answer

        return later

    def at_once(request: HttpRequest) -> HttpResponseBase:
        read_strictly(request)
        response: HttpResponseBase = get_response(request)
        return response

    return at_once
