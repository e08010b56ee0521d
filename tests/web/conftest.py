"""The web server as it is documented, on a free port of this machine; and the ASGI application without one."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from config.local.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def served(log: Path, **environment: str) -> Iterator[tuple[int, subprocess.Popen]]:
    """`python -m config.web`; its port and its process."""
    port = free_port()
    given = {"ALLOWED_HOSTS": "127.0.0.1,localhost", "DEMO": "1", "BEHIND_PROXY": "", "NUM_PROXIES": "0"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "config.web", "--port", str(port)],
            cwd=ROOT,
            env=os.environ | given | environment,
            stdout=out,
            stderr=out,
        )
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
            client.get(f"http://127.0.0.1:{port}/healthz", timeout=30)
        yield port, process
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def port(tmp_path_factory):
    with served(tmp_path_factory.mktemp("web") / "log") as (port, _):
        yield port


@contextmanager
def raw(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=40) as connection:
        yield connection


def until_closed(connection: socket.socket) -> bytes:
    """All that still comes; empty when the server has reset the connection."""
    answer = b""
    try:
        while part := connection.recv(65536):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def scope(path="/healthz", method="GET", headers=(), client="127.0.0.1"):
    given = [(name.lower().encode(), value.encode()) for name, value in headers]
    bare, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": bare,
        "raw_path": bare.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), *given],
        "client": (client, 1234),
        "server": ("127.0.0.1", 8000),
    }


class Answer:
    """What an application has sent: status, headers, body; whether it has ended."""

    def __init__(self):
        self.status, self.headers, self.body, self.has_ended = 0, {}, b"", False

    async def send(self, message):
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")
            self.has_ended = not message.get("more_body", False)


def client_that_sends(*parts, stalls=False, leaves=False):
    """A `receive` that gives these parts; then nothing more, or that the client left, or the body's end."""
    left = list(parts)

    async def receive():
        if left:
            part = left.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(left) or stalls or leaves}
        if leaves:
            return {"type": "http.disconnect"}
        return await asyncio.get_running_loop().create_future()

    return receive
