"""A hard limit for whole request bodies, before Django reads (and spools) them: chunked ones too.

A body without Content-Length is read here, up to the limit, and handed on with its length, because Django's
parsers go by the header. What is over the limit is answered 413; a little more is read away first, so that
clients which send before they listen get the answer instead of a reset connection.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from django.conf import settings

from pipeline.api.problems import CONTENT_TYPE, too_large

Message = Mapping[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

DRAIN_BYTES: Final = 64 * 1024 * 1024  # read away at most this much of a body that is refused,
DRAIN_SECONDS: Final = 5.0  # and for no longer than this


class BodyLimit:
    """Wraps an ASGI application; the limit is DATA_UPLOAD_MAX_MEMORY_SIZE, in bytes."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        length = _length(headers)
        if length is None and b"transfer-encoding" in headers:
            body = await _read(receive, limit)
            if body is None:
                await _refuse(receive, send, limit)
                return
            await self._app(_with_length(scope, len(body)), _replay(body, receive), send)
        elif length is not None and length > limit:
            await _refuse(receive, send, limit, drain=length <= DRAIN_BYTES)
        else:
            await self._app(scope, receive, send)  # the server holds the body to its Content-Length


def _length(headers: Mapping[bytes, bytes]) -> int | None:
    said = headers.get(b"content-length", b"")
    return int(said) if said.isdigit() else None


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None when it is over the limit. A client that leaves gives an empty rest."""
    parts: list[bytes] = []
    size, has_more = 0, True
    while has_more:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
        has_more = message["type"] == "http.request" and message.get("more_body", False)
    return b"".join(parts)


def _with_length(scope: Scope, length: int) -> Scope:
    headers = [(name, value) for name, value in scope["headers"] if name != b"transfer-encoding"]
    return {**scope, "headers": [*headers, (b"content-length", str(length).encode())]}


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body as one message, then whatever the server says (that the client has left)."""
    is_told = False

    async def told() -> Message:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return told


async def _refuse(receive: Receive, send: Send, limit: int, *, drain: bool = True) -> None:
    if drain:
        await _drain(receive)
    response = too_large(limit).response()
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(response.content)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),  # what is left of the body is not read
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})


async def _drain(receive: Receive) -> None:
    size, ends = 0, time.monotonic() + DRAIN_SECONDS
    while size < DRAIN_BYTES and time.monotonic() < ends:
        message = await receive()
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
