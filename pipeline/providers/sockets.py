"""Sockets that keep to the call's budget: each operation gets what is left of it, never a time-out of its own.

Every client of this package makes its connections here, so that what holds for one holds for all: looking up the
address, connecting, TLS, sending, and reading the answer's head and body.
"""

import http.client
import os
import socket
import ssl
import threading
from concurrent.futures import Future
from typing import Any, Final

from pipeline.providers import budget

CONNECT: Final = 2.0  # seconds for each address: a host that is up answers within one round trip

Addresses = list[Any]  # as `socket.getaddrinfo` gives them


class _Bounded(socket.socket):
    """The operations that a plain and a TLS connection share; each waits for as long as the budget allows."""

    def recv(self, *args: Any) -> bytes:
        """As socket.recv."""
        self.settimeout(budget.left())
        received = super().recv(*args)
        budget.count(len(received))
        return received

    def recv_into(self, *args: Any) -> int:
        """As socket.recv_into; file objects made of the socket read by it."""
        self.settimeout(budget.left())
        received = super().recv_into(*args)
        budget.count(received)
        return received

    def send(self, *args: Any) -> int:
        """As socket.send."""
        self.settimeout(budget.left())
        return super().send(*args)


class Plain(_Bounded):
    """A TCP connection within the budget."""

    def sendall(self, *args: Any) -> None:
        """As socket.sendall, whose time-out is for the whole."""
        self.settimeout(budget.left())
        super().sendall(*args)


class Tls(_Bounded, ssl.SSLSocket):
    """A TLS connection within the budget. Its `sendall` is made of `send`."""

    def do_handshake(self, block: bool = False) -> None:
        """As SSLSocket.do_handshake, whose time-out is for the whole."""
        self.settimeout(budget.left())
        super().do_handshake(block)


class Answer(http.client.HTTPResponse):
    """An answer whose length is looked at first: the standard library sets as much memory aside as it announces."""

    def begin(self) -> None:
        """Read the head."""
        super().begin()
        budget.announce(self.length)


def bounded(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context, whose connections keep to the budget from now on."""
    context.sslsocket_class = Tls
    return context


def connect(host: str, port: int) -> Plain:
    """A connection to the first of the host's addresses that takes it.

    TimeoutError when none does in time, gaierror when the host has no address, else an OSError.
    """
    failed: OSError | None = None
    for family, kind, protocol, _, address in _addresses(host.strip("[]"), port):
        made = Plain(family, kind, protocol)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.settimeout(min(CONNECT, budget.left()))
            made.connect(address)
        except OSError as error:
            made.close()
            failed = error
        except BaseException:
            made.close()
            raise
        else:
            return made
    raise failed or OSError(f"{host} has no address")


def _addresses(host: str, port: int) -> Addresses:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return _lookup(host, port).result(budget.left())


# The system's resolver cannot be given a time-out: it runs in a thread, one for each host, for all who wait for it.
_lookups: dict[tuple[str, int], Future[Addresses]] = {}
_mutex = threading.Lock()


def _lookup(host: str, port: int) -> Future[Addresses]:
    with _mutex:
        running = _lookups.get((host, port))
        if running is None:
            running = _lookups[host, port] = Future()
            threading.Thread(target=_resolve, args=(host, port, running), name=f"resolve {host}", daemon=True).start()
        return running


def _resolve(host: str, port: int, told: Future[Addresses]) -> None:
    try:
        found: Addresses | Exception = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        found = error
    with _mutex:
        _lookups.pop((host, port), None)
    if isinstance(found, Exception):
        told.set_exception(found)
    else:
        told.set_result(found)


def _forget() -> None:
    """A forked process has none of its parent's threads."""
    global _mutex
    _mutex = threading.Lock()
    _lookups.clear()


os.register_at_fork(after_in_child=_forget)
