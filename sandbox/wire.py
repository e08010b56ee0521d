"""The network side of one request: reading it, answering it, and the ways an answer fails to arrive."""

from __future__ import annotations

import asyncio
import socket
import struct
from asyncio import Transport

from starlette.types import Receive, Scope, Send

from sandbox.provider import Answer

TRANSPORT = "sandbox.transport"  # where the server's protocol class leaves the connection in the ASGI scope
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends RST and drops what is unsent
LONGEST_WAIT = 300.0  # seconds: nobody's client waits longer


class Wire:
    """One request's connection. After `cut` or `truncate` nothing more can be sent on it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send

    async def body(self) -> bytes:
        chunks = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                break
            chunks.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        return b"".join(chunks)

    async def answer(self, answer: Answer) -> None:
        await self._start(answer)
        await self._send({"type": "http.response.body", "body": answer.body})

    async def gone(self, seconds: float = LONGEST_WAIT) -> bool:
        """Waits until the client has closed the connection, at most `seconds`; says whether it has."""
        try:
            async with asyncio.timeout(seconds):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return False
        return True

    async def cut(self) -> None:
        """Resets the connection without an answer."""
        self.reset()
        await self.gone()

    def reset(self) -> None:
        transport: Transport = self._scope[TRANSPORT]
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        transport.abort()

    async def truncate(self, answer: Answer) -> None:
        """Sends the head and half of the body, then closes.

        An answer without a body breaks off within its status line: boto3 takes any whole head for the whole answer.
        """
        transport: Transport = self._scope[TRANSPORT]
        if answer.body and self._scope["method"] != "HEAD":
            await self._start(answer)
            half = answer.body[: len(answer.body) // 2]
            await self._send({"type": "http.response.body", "body": half, "more_body": True})
        else:
            transport.write(b"HTTP/1.")
        transport.close()
        await self.gone()

    async def _start(self, answer: Answer) -> None:
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
        if answer.status not in (204, 304) and "content-length" not in answer.headers:
            headers.append((b"content-length", str(len(answer.body)).encode()))
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
