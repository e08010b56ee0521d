"""Static files as middleware, for either way in which Django calls it: ServeStatic's own is asynchronous alone."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from servestatic.middleware import ServeStaticMiddleware


class StaticFiles:
    """Called synchronously, only the request for a file pays for a loop; every other goes straight on."""

    async_capable = sync_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        self._files = ServeStaticMiddleware(get_response if self._is_async else sync_to_async(get_response))
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """The file, or what comes after."""
        if self._is_async:
            return self._files(request)
        if self._files.autorefresh or request.path_info in self._files.files:
            return async_to_sync(self._files)(request)
        return self._get_response(request)
