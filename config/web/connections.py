"""uvicorn's HTTP protocol with the bounds that it lacks: heads, connections, pipelining, clients that do not read.

A head that never ends, or a client that takes nothing, is over before any application sees it; so this is done
where the bytes come in. What is over a limit but complete is left to `heads.py`, whose answer says more.
"""

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from django.conf import settings
from rest_framework.settings import api_settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from config.web import limits


class Connection(HttpToolsProtocol):
    """One connection of a client."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_ends = _Deadline(self.loop)
        self._taking_ends = _Deadline(self.loop)
        self._waits_since: float | None = None  # nothing is asked for at present
        self._head_size = 0  # bytes of the present head, as far as it has come

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Take a place; the one that has waited longest gives way."""
        self._waits_since = self.loop.time()
        self._await_head()
        super().connection_made(transport)
        if not _make_place(self):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "As many connections are open as this server keeps.")

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_ends.stop()
        self._taking_ends.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._waits_since is not None:
            self._head_size += len(data)
            if not self._head_ends.is_set:  # a kept connection's next head begins
                self._await_head()
        super().data_received(data)
        if self._waits_since is not None and self._head_size > limits.MAX_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header more than is allowed, and no trailer: both come here."""
        if self._waits_since is not None and len(self.headers) <= limits.MAX_HEADERS:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._waits_since, self._head_size = None, 0
        self._head_ends.stop()
        if len(self.pipeline) >= limits.MAX_PIPELINED:
            raise _TooManyPipelined  # ends the parsing, then `send_400_response` the connection
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._waits_since = self.loop.time()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_unless_taken()

    def send_400_response(self, msg: str) -> None:
        """To bytes that are no request."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._abort_unless_taken()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._taking_ends.stop()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._abort_unless_taken()

    def give_way(self) -> None:
        """Leave the place to a connection that has something to ask."""
        self.transport.abort()
        self.connections.discard(self)

    def waits_since(self) -> float | None:
        """Since when nothing is asked for and nothing answered here; None while something is."""
        return self._waits_since if self._is_idle() else None

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr] # it begins as None

    def _await_head(self) -> None:
        self._head_ends.set(limits.HEAD_SECONDS, self._head_is_late)

    def _head_is_late(self) -> None:
        if not self._is_idle():  # another request is still being answered
            self._await_head()
        elif self._head_size:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The request's head came too slowly.")
        else:
            self.transport.abort()

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer by ourselves and end; in the middle of another answer, only end."""
        if self.transport.is_closing():
            return
        if self._is_idle():
            self.transport.write(_answer(status, detail))
            self.transport.close()
            self._abort_unless_taken()
        else:
            self.transport.abort()

    def _abort_unless_taken(self) -> None:
        if not self._taking_ends.is_set:
            self._taking_ends.set(limits.WRITE_SECONDS, self.transport.abort)


class _TooManyPipelined(Exception):
    pass


class _Deadline:
    """A call that comes unless it is stopped before."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        return self._handle is not None

    def set(self, seconds: float, then: Callable[[], object]) -> None:
        self.stop()
        self._handle = self._loop.call_later(seconds, then)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def _make_place(new: Connection) -> bool:
    """Whether the new connection may stay: within MAX_CONNECTIONS, and MAX_CONNECTIONS_PER_CLIENT.

    Behind a proxy all come from its address, so that the latter holds only where there is none.
    """
    everybody = [each for each in new.connections if isinstance(each, Connection)]
    its_own = [each for each in everybody if each.client and new.client and each.client[0] == new.client[0]]
    most, most_of_one = settings.MAX_CONNECTIONS, settings.MAX_CONNECTIONS_PER_CLIENT
    if most_of_one and len(its_own) > most_of_one and not api_settings.NUM_PROXIES:
        return _let_one_give_way(its_own, new)
    return len(everybody) <= most or _let_one_give_way(everybody, new)


def _let_one_give_way(among: list[Connection], new: Connection) -> bool:
    waiting = [(since, each) for each in among if each is not new and (since := each.waits_since()) is not None]
    if not waiting:
        return False
    min(waiting, key=lambda pair: pair[0])[1].give_way()
    return True


_HEADERS: Final = "content-type: application/problem+json\r\ncache-control: no-store\r\nconnection: close\r\n"


def _answer(status: HTTPStatus, detail: str) -> bytes:
    """As `Problem` would be written; there is no request that a response could belong to."""
    name = status.name.lower()
    body = {
        "type": f"urn:problem:{name.replace('_', '-')}",
        "title": status.phrase,
        "status": status.value,
        "code": name,
        "detail": detail,
    }
    content = json.dumps(body)
    more = "retry-after: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{_HEADERS}{more}content-length: {len(content)}\r\n\r\n"
    return (head + content).encode()
