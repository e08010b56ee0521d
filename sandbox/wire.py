"""The network side of one request: reading it, answering it, and the ways an answer fails to arrive."""

from __future__ import annotations

import asyncio
import socket
import struct
from asyncio import Transport
from collections.abc import Mapping
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from sandbox.provider import Answer

TRANSPORT = "sandbox.transport"  # where the server's protocol class leaves the connection in the ASGI scope
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends RST and drops what is unsent
BLANKS = b" " * 1_000_000  # one piece of an answer that does not end
PAUSE = 0.002  # seconds between two of them
LONGEST_WAIT = 300.0  # seconds: nobody's client waits longer


def _head(answer: Answer, more: Mapping[str, str]) -> bytes:
    """The head of an answer that is written to the connection itself."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    for name in ("content-length", "transfer-encoding", "connection"):
        headers.pop(name, None)
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in {**headers, **more}.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


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

    async def drip(self, answer: Answer, seconds: float, *, head_too: bool) -> bool:
        """Sends a byte every `seconds`, the head at once unless `head_too` or there is no body; then closes.

        Says whether the client waited for all of it.
        """
        transport: Transport = self._scope[TRANSPORT]
        body = b"" if self._scope["method"] == "HEAD" else answer.body
        head = _head(answer, {"content-length": str(len(answer.body)), "connection": "close"})
        at_once = len(head) if body and not head_too else 0
        transport.write(head[:at_once])
        for byte in (head + body)[at_once:]:
            if await self.gone(seconds):
                return False
            transport.write(bytes((byte,)))
        transport.close()
        await self.gone()
        return True

    async def go_on(self, answer: Answer) -> None:
        """Sends the answer, and blanks after it for as long as the client reads."""
        transport: Transport = self._scope[TRANSPORT]
        transport.write(_head(answer, {"transfer-encoding": "chunked"}))
        piece = answer.body
        while not await self.gone(PAUSE):
            if transport.get_write_buffer_size() < len(BLANKS):
                transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b"")
                piece = BLANKS

    async def _start(self, answer: Answer) -> None:
        headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        if answer.status not in (204, 304) and "content-length" not in answer.headers:
            headers.append((b"content-length", str(len(answer.body)).encode()))
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
