"""What is bounded where the bytes come in: uvicorn itself, in this process, so that the periods can be short."""

import asyncio
import contextlib
import socket
import threading
import time

import pytest
import uvicorn

from config.web import limits
from config.web.bodies import Edge
from config.web.connections import Connection
from tests.web.conftest import raw, until_closed

GET = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"


class Server:
    """An application that answers each request with its path; `/hold` once `let_go` is set; `/large` with 8 MiB."""

    def __init__(self):
        self.seen = []
        self.let_go = threading.Event()
        self.holding = threading.Semaphore(0)
        config = uvicorn.Config(
            Edge(self.answer), port=0, http=Connection, ws="none", lifespan="off", log_config=None, access_log=False
        )
        self.uvicorn = uvicorn.Server(config)
        self.thread = threading.Thread(target=lambda: asyncio.run(self.uvicorn.serve()))

    async def answer(self, scope, receive, send):
        self.seen.append((scope["path"], [name for name, _ in scope["headers"]]))
        body = scope["path"].encode()
        if body == b"/hold":
            self.holding.release()
            await asyncio.to_thread(self.let_go.wait, 20)
        if body == b"/large":
            body = b"x" * 8 * 1024 * 1024
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    @property
    def connections(self):
        return len(self.uvicorn.server_state.connections)

    def __enter__(self):
        self.thread.start()
        until(lambda: self.uvicorn.started)
        self.port = self.uvicorn.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        self.let_go.set()
        self.uvicorn.should_exit = self.uvicorn.force_exit = True
        self.thread.join(20)


def until(is_so, seconds=20):
    ends = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends, "it never became so"
        time.sleep(0.01)


@pytest.fixture
def server():
    with Server() as running:
        yield running


def answered(connection):
    """The body of the next answer."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return body


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_a_request_is_answered_and_its_connection_kept(server):
    with raw(server.port) as connection:
        for path in (b"one", b"two"):
            connection.sendall(GET % path)
            assert answered(connection) == b"/" + path


def test_a_connection_that_says_nothing_is_closed(server, monkeypatch):
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.1)
    with raw(server.port) as connection:
        assert until_closed(connection) == b""


def test_a_head_that_comes_in_drips_is_408(server, monkeypatch):
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.3)
    with raw(server.port) as connection:
        with contextlib.suppress(OSError):
            for byte in GET:
                connection.sendall(bytes([byte]))
                time.sleep(0.03)
        assert status(until_closed(connection)) in {408, 0}  # 0: it still sent, and was reset
    assert server.seen == []


def test_the_second_head_of_a_connection_has_the_same_deadline(server, monkeypatch):
    with raw(server.port) as connection:
        connection.sendall(GET % b"one")
        assert answered(connection) == b"/one"
        monkeypatch.setattr(limits, "HEAD_SECONDS", 0.1)
        connection.sendall(b"GET /two HTTP/1.1\r\nHost:")
        assert status(until_closed(connection)) == 408
    assert [path for path, _ in server.seen] == ["/one"]


def test_a_head_begun_behind_a_request_has_its_deadline_once_that_is_answered(server, monkeypatch):
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.1)
    with raw(server.port) as connection:
        connection.sendall(GET % b"hold")
        server.holding.acquire()
        connection.sendall(b"GET /two HTTP/1.1\r\nHost:")
        time.sleep(0.3)
        server.let_go.set()
        answer = until_closed(connection)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"HTTP/1.1 408" in answer


def test_a_head_without_an_end_is_431_and_kept_by_nobody(server):
    with raw(server.port) as connection:
        sent = 0
        with contextlib.suppress(OSError):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
            while sent < 64 * 1024 * 1024:
                sent += connection.send(b"x" * 4096)
        assert sent < 16 * 1024 * 1024, "it was not read to its end"
        assert status(until_closed(connection)) in {431, 0}
    assert server.seen == []


def test_a_head_of_a_hundred_thousand_headers_is_431(server):
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a:\r\n" * 50_000 + b"\r\n"
    with raw(server.port) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(head)
        assert status(until_closed(connection)) in {431, 0}
    assert server.seen == []


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 32_000), 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n\r\n" % (b"a" * 5000), 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a:\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (b"a" * 60_000), 431),
        (b"nonsense\r\n\r\n", 400),
    ],
    ids=["path", "cookie", "count", "header", "no request"],
)
def test_a_head_that_came_whole_is_answered_with_a_problem(server, head, expected):
    with raw(server.port) as connection:
        connection.sendall(head)
        answer = until_closed(connection)
    assert status(answer) == expected
    assert b"content-type: application/problem+json" in answer.lower()
    assert b"connection: close" in answer.lower()
    assert server.seen == []


def test_trailers_are_no_headers(server):
    """Otherwise a client that writes trailers could forge a header that only the proxy writes."""
    body = (
        b"POST /one HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Forwarded-For: b\r\n\r\n"
    )
    with raw(server.port) as connection:
        connection.sendall(body)
        assert answered(connection) == b"/one"
    assert server.seen == [("/one", [b"host", b"content-length"])]


def test_a_length_that_never_comes_is_413_and_the_connection_ends(server, monkeypatch):
    monkeypatch.setattr(limits, "DRAIN_SECONDS", 0.2)
    with raw(server.port) as connection:
        connection.sendall(b"POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n")
        assert status(until_closed(connection)) == 413
    until(lambda: server.connections == 0)


def test_requests_that_wait_behind_another_are_few(server):
    with raw(server.port) as connection:
        connection.sendall(GET % b"hold" + GET % b"more" * (limits.MAX_PIPELINED + 1))
        assert until_closed(connection) == b""
    assert [path for path, _ in server.seen] == ["/hold"]


def test_requests_behind_another_are_answered_in_turn(server):
    with raw(server.port) as connection:
        connection.sendall(GET % b"hold" + GET % b"more" * limits.MAX_PIPELINED)
        server.holding.acquire()
        server.let_go.set()
        answer = b""
        while answer.count(b"/more") < limits.MAX_PIPELINED:
            answer += connection.recv(65536)
    assert answer.count(b"HTTP/1.1 200") == limits.MAX_PIPELINED + 1


def test_a_client_that_takes_nothing_is_let_go(server, monkeypatch):
    monkeypatch.setattr(limits, "WRITE_SECONDS", 0.3)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(GET % b"large")
        until(lambda: server.seen)
        until(lambda: server.connections == 0)


def test_a_client_that_takes_slowly_gets_all(server, monkeypatch):
    monkeypatch.setattr(limits, "WRITE_SECONDS", 5)
    with raw(server.port) as connection:
        connection.sendall(GET % b"large")
        size = 0
        while size < 8 * 1024 * 1024:
            size += len(connection.recv(1024 * 1024))


def test_the_connection_that_has_waited_longest_gives_way(server, settings):
    settings.MAX_CONNECTIONS = 8
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}  # so that one address may have all
    with contextlib.ExitStack() as stack:
        waiting = []
        for number in range(8):
            waiting.append(stack.enter_context(raw(server.port)))
            until(lambda number=number: server.connections == number + 1)
        new = stack.enter_context(raw(server.port))
        new.sendall(GET % b"new")
        assert answered(new) == b"/new"
        assert until_closed(waiting[0]) == b""
        waiting[1].sendall(GET % b"still")
        assert answered(waiting[1]) == b"/still"
        assert server.connections == 8


def test_while_all_connections_are_busy_a_new_one_is_503(server, settings):
    settings.MAX_CONNECTIONS = 2
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    with raw(server.port) as first, raw(server.port) as second:
        for connection in (first, second):
            connection.sendall(GET % b"hold")
            assert server.holding.acquire(timeout=20)
        with raw(server.port) as third:
            answer = until_closed(third)
            assert status(answer) == 503
            assert b"retry-after: 1" in answer
        server.let_go.set()
        assert answered(first) == b"/hold"


def test_one_address_has_no_more_than_its_own_ceiling_of_connections(server, settings):
    settings.MAX_CONNECTIONS, settings.MAX_CONNECTIONS_PER_CLIENT = 8, 2
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 0}
    with raw(server.port) as first, raw(server.port) as second:
        for connection in (first, second):
            connection.sendall(GET % b"hold")
            assert server.holding.acquire(timeout=20)
        with raw(server.port) as third:
            assert status(until_closed(third)) == 503
        with socket.create_connection(("127.0.0.1", server.port), 20, ("127.0.0.2", 0)) as other:
            other.sendall(GET % b"other")
            assert answered(other) == b"/other"
