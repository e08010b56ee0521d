"""Clients over httpx: SDKs that take an `httpx.Client` get one of `client`."""

import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from pipeline.providers import sockets
from pipeline.providers.over_urllib3 import POOL


def client() -> httpx.Client:
    """A client that threads may share. It follows no redirect and takes no compressed answer."""
    return httpx.Client(transport=_Transport(), headers={"Accept-Encoding": "identity"})


class _Transport(httpx.HTTPTransport):
    """httpx's own, with connections of ours."""

    def __init__(self) -> None:
        super().__init__()
        self._pool = httpcore.ConnectionPool(
            ssl_context=sockets.bounded(httpx.create_ssl_context()),
            max_connections=None,  # no call waits for another one's connection
            max_keepalive_connections=POOL,
            network_backend=_Backend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            answer.close()
            raise httpx.DecodingError("a compressed answer, which was not asked for", request=request)
        return answer


class _Backend(httpcore.NetworkBackend):
    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.NetworkStream:
        with _raising(httpcore.ConnectTimeout, httpcore.ConnectError):
            return _Stream(sockets.connect(host, port))


class _Stream(httpcore.NetworkStream):
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _raising(httpcore.ReadTimeout, httpcore.ReadError):
            return self._sock.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _raising(httpcore.WriteTimeout, httpcore.WriteError):
            self._sock.sendall(buffer)

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        with _raising(httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                return _Stream(sockets.bounded(ssl_context).wrap_socket(self._sock, server_hostname=server_hostname))
            except BaseException:
                self.close()
                raise

    def get_extra_info(self, info: str) -> Any:
        """The facts that httpcore asks for: whether the peer closed an idle connection, and the TLS object."""
        if info == "is_readable":
            return _is_readable(self._sock)
        if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket):
            return self._sock
        return self._sock if info == "socket" else None


def _is_readable(sock: socket.socket) -> bool:
    if sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def _raising(timed_out: type[Exception], broken: type[Exception]) -> Iterator[None]:
    """Httpcore's errors instead of the socket's."""
    try:
        yield
    except TimeoutError as error:
        raise timed_out(str(error)) from error
    except (OSError, UnicodeError) as error:
        raise broken(str(error)) from error
