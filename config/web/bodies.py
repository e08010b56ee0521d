"""Bodies are read whole before Django sees the request: within a size, a pace and all bodies' room together.

Up to 64 KiB lie in memory, what is more in a temporary file. A client that stalls is answered 408, what is over
the limit 413, what there is no room for 503; Django gets the body with its length, however it was sent.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import Any, Final

from django.conf import settings

from config.web import heads, limits, media_types
from config.web.refusals import refuse
from pipeline.api.clients import address_in
from pipeline.api.problems import Problem, too_large, unavailable

Message = Mapping[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_FORM: Final = b"application/x-www-form-urlencoded"
_CHUNK: Final = 256 * limits.KIB  # bytes handed on at once


class Edge:
    """Wraps an ASGI application: what it gets has a head and a body within all limits."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._room = _Room()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = heads.refusal(scope)
        if problem is not None:
            await refuse(receive, send, problem)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if b"transfer-encoding" not in headers and headers.get(b"content-length", b"0") == b"0":
            await self._app(_without(scope, b"content-type"), receive, send)
            return
        problem = media_types.refusal_of_headers(
            headers.get(b"content-type", b"").decode("latin-1"), headers.get(b"content-encoding", b"").decode("latin-1")
        )
        if problem is not None:
            await refuse(receive, send, problem)
            return
        try:
            async with self._room.body(scope, receive, _limit(headers)) as (size, body):
                await self._app(_with_length(scope, size), _replay(body, receive), send)
        except _Gone:
            return
        except _Refused as refused:
            await refuse(receive, send, refused.problem)


class _Gone(Exception):
    """The client left: there is nobody to answer."""


class _Refused(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.title)
        self.problem = problem


class _Room:
    """The bytes that all bodies of this process take together, and those of each client."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    @asynccontextmanager
    async def body(
        self, scope: Scope, receive: Receive, limit: int
    ) -> AsyncIterator[tuple[int, "SpooledTemporaryFile[bytes]"]]:
        """Read it: its size and the body from its beginning. _Refused or _Gone."""
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced) > limit:
            raise _Refused(too_large(limit))
        client, size = address_in(scope), 0
        with SpooledTemporaryFile(limits.IN_MEMORY) as body:
            try:
                async for part in _parts(receive):
                    if size + len(part) > limit:
                        raise _Refused(too_large(limit))
                    self._take(client, len(part))
                    size += len(part)
                    body.write(part)
                body.seek(0)
                yield size, body
            finally:
                self._give_back(client, size)

    def _take(self, client: str, size: int) -> None:
        most_of_one = limits.ALL_BODIES if settings.DEMO else limits.CLIENT_BODIES
        if self._taken[client] + size > most_of_one or self._taken.total() + size > limits.ALL_BODIES:
            raise _Refused(unavailable("Too many bodies are being read at the moment: repeat the request."))
        self._taken[client] += size

    def _give_back(self, client: str, size: int) -> None:
        self._taken[client] -= size
        if not self._taken[client]:
            del self._taken[client]


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    """The body as it comes; _Refused for one that is too slow, _Gone."""
    clock = asyncio.get_running_loop().time
    whole_ends, period_ends, came = clock() + limits.BODY_SECONDS, clock() + limits.PACE_SECONDS, 0
    while True:
        ends = min(whole_ends, period_ends)
        try:
            async with asyncio.timeout_at(ends):
                message = await receive()
        except TimeoutError:
            raise _Refused(_too_slow()) from None
        if message["type"] != "http.request":
            raise _Gone
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return
        came += len(message.get("body", b""))
        if came >= limits.PACE_BYTES:
            period_ends, came = clock() + limits.PACE_SECONDS, 0
        elif clock() > ends:
            raise _Refused(_too_slow())


def _too_slow() -> Problem:
    detail = "The body came too slowly or not to its end: send it again, all of it within two minutes."
    return Problem(408, "body_too_slow", "Body too slow", detail)


def _limit(headers: Mapping[bytes, bytes]) -> int:
    """In bytes, by the media type."""
    most: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return min(most, limits.FORM_BODY) if media_type == _FORM else most


def _with_length(scope: Scope, length: int) -> Scope:
    """Django's parsers go by Content-Length alone."""
    bare = _without(scope, b"transfer-encoding", b"content-length")
    return {**bare, "headers": [*bare["headers"], (b"content-length", str(length).encode())]}


def _without(scope: Scope, *names: bytes) -> Scope:
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in names]}


def _replay(body: "SpooledTemporaryFile[bytes]", receive: Receive) -> Receive:
    """The body in a few messages, then the server's own messages (that the client has left)."""
    is_told = False

    async def told() -> Message:
        nonlocal is_told
        if is_told:
            return await receive()
        chunk = body.read(_CHUNK)
        is_told = len(chunk) < _CHUNK
        return {"type": "http.request", "body": chunk, "more_body": not is_told}

    return told
