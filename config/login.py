"""The admin's login, throttled before a password is hashed: each hash costs half a second of processor.

An address over its rate is refused. A name over its rate, from any address, only waits, so nobody can lock an operator
out. Each process hashes one password at a time. No other view that needs no login hashes passwords.
"""

import asyncio
from types import SimpleNamespace
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.crypto import salted_hmac
from rest_framework.request import Request
from rest_framework.views import APIView

from pipeline.api.clients import client_of
from pipeline.api.throttles import Throttle

NAME_DELAY: Final = 5.0  # seconds, of a name that is tried too often
LINE: Final = 20  # logins that wait for their turn in one process; more are refused
BUSY_RETRY: Final = 5  # seconds

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
_waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()


class _Counter(Throttle):
    """Counts attempts of one kind (a scope of the rates) by one mark."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self._mark = mark

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return f"throttle_{self.scope}_{self._mark}"


async def login(request: HttpRequest) -> HttpResponseBase:
    """Django's own view; 429 for an address that tries too often, 503 while too many wait for their turn."""
    if request.method != "POST":
        return await _django(request)
    wait = await sync_to_async(_seconds_too_early)(request, "login", client_of(request))
    if wait is not None:
        return _later(429, wait)
    loop = asyncio.get_running_loop()
    if _waiting.get(loop, 0) >= LINE:
        return _later(503, BUSY_RETRY)
    _waiting[loop] = _waiting.get(loop, 0) + 1
    try:
        if await sync_to_async(_seconds_too_early)(request, "login_name", _name(request)) is not None:
            await asyncio.sleep(NAME_DELAY)
        async with _turns.setdefault(loop, asyncio.Semaphore(1)):
            return await _django(request)
    finally:
        _waiting[loop] -= 1


def _seconds_too_early(request: HttpRequest, scope: str, mark: str) -> float | None:
    """Count the attempt: None while it is within the rate, otherwise how long to wait."""
    counter = _Counter(mark)
    view = cast("APIView", SimpleNamespace(throttle_scope=scope))
    if counter.allow_request(cast("Request", request), view):
        return None
    return counter.wait() or 1.0


def _name(request: HttpRequest) -> str:
    """A mark of the name that is tried: nothing personal lies in the cache."""
    said = request.POST.get("username", "")[:254].casefold().strip()
    return salted_hmac("config.login", said, algorithm="sha256").hexdigest()


async def _django(request: HttpRequest) -> HttpResponseBase:
    answer: Any = await sync_to_async(admin.site.login)(request)
    if hasattr(answer, "render"):
        answer = await sync_to_async(answer.render)()
    return cast("HttpResponseBase", answer)


def _later(status: int, seconds: float) -> HttpResponse:
    wait = max(1, round(seconds + 0.5))
    text = f"Too many attempts to log in: try again in {wait} seconds."
    return HttpResponse(text, status=status, content_type="text/plain", headers={"Retry-After": str(wait)})
