"""Peers that behave as providers and proxies do on a bad day: none ends by itself."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from typing import Final

PACE: Final = 0.02  # seconds between two bytes
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BLOCK: Final = b" " * 65536


class Peer:
    """Serves every connection by `behaviour`, on a port of loopback, until it is stopped."""

    def __init__(self, behaviour: "Behaviour", *, tls: object = None) -> None:
        self.behaviour = behaviour
        self.connections = self.sent = 0
        self.over = threading.Event()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(200)
        self._tls = tls
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def stop(self) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def send(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(data)
        self.sent += len(data)

    def drip(self, connection: socket.socket, data: Iterator[int] | bytes) -> None:
        for byte in data:
            self.send(connection, bytes((byte,)))
            if self.over.wait(PACE):
                return

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(1)
        with suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)  # type: ignore[attr-defined]
            self.behaviour(self, connection)
        connection.close()


Behaviour = Callable[[Peer, socket.socket], None]


@contextmanager
def peer(behaviour: Behaviour, *, tls: object = None) -> Iterator[Peer]:
    """One that runs inside the block."""
    running = Peer(behaviour, tls=tls)
    try:
        yield running
    finally:
        running.stop()


def asked(connection: socket.socket) -> bytes:
    """The request's head; its body is left unread."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionResetError
        head += piece
    return head


def says_nothing(peer: Peer, connection: socket.socket) -> None:
    asked(connection)
    peer.over.wait()


def reads_nothing(peer: Peer, connection: socket.socket) -> None:
    peer.over.wait()


def drips_its_status_line(peer: Peer, connection: socket.socket) -> None:
    asked(connection)
    peer.drip(connection, chain(b"HTTP/1.1 200 O", repeat(ord("K"))))


def drips_lines_of_its_head(peer: Peer, connection: socket.socket) -> None:
    asked(connection)
    peer.send(connection, OK)
    peer.drip(connection, chain.from_iterable(repeat(b"X: 1\r\n")))


def drips_its_body(peer: Peer, connection: socket.socket) -> None:
    asked(connection)
    peer.send(connection, OK + b"Content-Length: 1000000\r\n\r\n{")
    peer.drip(connection, repeat(ord(" ")))


def drips_a_body_without_length(peer: Peer, connection: socket.socket) -> None:
    asked(connection)
    peer.send(connection, OK + b"Connection: close\r\n\r\n{")
    peer.drip(connection, repeat(ord(" ")))


def drips_chunks(peer: Peer, connection: socket.socket) -> None:
    asked(connection)
    peer.send(connection, OK + b"Transfer-Encoding: chunked\r\n\r\n")
    peer.drip(connection, chain.from_iterable(repeat(b"1\r\n \r\n")))


def drips_an_error(peer: Peer, connection: socket.socket) -> None:
    asked(connection)
    peer.send(connection, b"HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{")
    peer.drip(connection, repeat(ord(" ")))


def bids_to_continue_for_ever(peer: Peer, connection: socket.socket) -> None:
    asked(connection)
    while not peer.over.wait(PACE):
        peer.send(connection, b"HTTP/1.1 100 Continue\r\n\r\n")


def sends_for_ever(peer: Peer, connection: socket.socket) -> None:
    asked(connection)
    peer.send(connection, OK + b"Connection: close\r\n\r\n")
    while not peer.over.is_set():
        peer.send(connection, BLOCK)


def announces_a_terabyte(peer: Peer, connection: socket.socket) -> None:
    asked(connection)
    peer.send(connection, OK + b"Content-Length: 1000000000000\r\n\r\n")
    while not peer.over.is_set():
        peer.send(connection, BLOCK)


def sends_a_head_without_end(peer: Peer, connection: socket.socket) -> None:
    asked(connection)
    peer.send(connection, OK + b"X: ")
    while not peer.over.is_set():
        peer.send(connection, b"x" * 65536)


def redirects_to_itself(peer: Peer, connection: socket.socket) -> None:
    while not peer.over.is_set():
        asked(connection)
        peer.send(connection, b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")


def answers_compressed(peer: Peer, connection: socket.socket) -> None:
    asked(connection)
    body = gzip.compress(bytes(50 * 1024 * 1024))
    peer.send(connection, OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    peer.over.wait()


# After each of these a client has no answer.
WITHOUT_AN_ANSWER: Final[tuple[Behaviour, ...]] = (
    says_nothing, reads_nothing, drips_its_status_line, drips_lines_of_its_head, drips_its_body,
    drips_a_body_without_length, drips_chunks, drips_an_error, bids_to_continue_for_ever, sends_for_ever,
    announces_a_terabyte, sends_a_head_without_end,
)  # fmt: skip
