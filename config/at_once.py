"""Django's ASGI handler with a single way into a thread and back for a synchronous view and all its middleware.

Django's own goes there and back about fifteen times, in a thread made for the request: a third of what accepting
a posting costs (10.3 and 6.8 ms of processor). What waits or streams is asynchronous and goes Django's own way.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, Final

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.http import HttpRequest
from django.urls import Resolver404, ResolverMatch, resolve, set_script_prefix

from config.web.bodies import Receive, Scope, Send

# Each has one of the pool's 20 connections while it answers; the others are for those who wait. A request beyond
# them stands in line instead of failing for want of a connection.
THREADS: Final = 16


class AtOnce(ASGIHandler):
    """The project's ASGI application."""

    def __init__(self) -> None:
        super().__init__()
        self._synchronous = _Synchronous()
        self._synchronous.load_middleware()
        self._threads = ThreadPoolExecutor(THREADS, "at-once")
        self._turns = asyncio.Semaphore(THREADS)  # a body is in memory no sooner than a thread is free for it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and is_at_once(scope):
            await self._at_once(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _at_once(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        async with self._turns:
            try:
                body = await self.read_body(receive)
            except RequestAborted:
                return
            response = await loop.run_in_executor(self._threads, self._answer, scope, body)
        try:
            await self.send_response(response, send)
        finally:
            if response.streaming:
                await loop.run_in_executor(self._threads, response.close)

    def _answer(self, scope: Scope, body: IO[bytes]) -> Any:
        """In a thread: the response, closed unless it has yet to be read."""
        with body:
            set_script_prefix(get_script_prefix(scope))
            request_started.send(sender=self.__class__, scope=scope)
            request, refused = self.create_request(scope, body)
            response: Any = refused if request is None else self._synchronous.get_response(request)
            response._handler_class = self.__class__  # noqa: SLF001 - the sender of the signal that closing sends
            if not response.streaming:
                response.close()
        return response


class _Synchronous(BaseHandler):
    """The middleware and the views as under WSGI; of a view that can wait, what answers at once."""

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        match = super().resolve_request(request)
        match.func = getattr(match.func, "at_once", match.func)
        return match


def is_at_once(scope: Scope) -> bool:
    """Whether nothing is awaited for the answer: the view is synchronous, or can be and its client states no
    preference. What is at no known address, such as a static file, goes Django's own way.
    """
    try:
        view = resolve(scope["path"]).func
    except Resolver404:
        return False
    if hasattr(view, "at_once"):
        return all(name != b"prefer" for name, _ in scope["headers"])
    return not iscoroutinefunction(view)
