"""Answering a request that Django never sees, so that its client gets the answer even while it still sends."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from config.web import limits
from pipeline.api.problems import CONTENT_TYPE, Problem

Message = Mapping[str, Any]


async def refuse(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]], problem: Problem
) -> None:
    """Send the answer, then read and drop the rest of the request within bounds, then end the connection.

    Closing at once would reset the connection of a client that sends before it listens, and lose the answer.
    """
    response = problem.response()
    said = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(response.content)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        *said,
    ]
    await send({"type": "http.response.start", "status": problem.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content, "more_body": True})
    await _drain(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Callable[[], Awaitable[Message]]) -> None:
    size = 0
    try:
        async with asyncio.timeout(limits.DRAIN_SECONDS):
            while size < limits.DRAIN_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
