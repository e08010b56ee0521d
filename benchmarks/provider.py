"""A provider that answers every request after the same time: `python -m benchmarks.provider PORT MILLISECONDS`.

It costs the machine as little as it can, and speaks just enough HTTP for `call`: requests without a body.
"""

import asyncio
import http.client
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from benchmarks.workers import LOGS, ROOT
from config.local import processes
from config.local.ports import LOOPBACK, free_port

ADDRESS: Final = "BENCH_PROVIDER"  # environment: the port that `call` asks
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_own = threading.local()


def call() -> None:
    """One request on this thread's connection; RuntimeError for anything but 200."""
    client = getattr(_own, "client", None)
    if client is None:
        client = _own.client = http.client.HTTPConnection(LOOPBACK, int(os.environ[ADDRESS]), timeout=20)
    client.request("GET", "/")
    answer = client.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"The provider answered {answer.status}.")


@contextmanager
def answering(milliseconds: int) -> Iterator[None]:
    """A provider in a process of its own, named in the environment of what is started meanwhile."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.provider", str(port), str(milliseconds)]
    server = processes.start(command, env=os.environ, log=LOGS / "provider.log", cwd=ROOT)
    os.environ[ADDRESS] = str(port)
    try:
        yield
    finally:
        del os.environ[ADDRESS]
        processes.stop([server], signal.SIGKILL, 1)


class _Connection(asyncio.Protocol):
    """Answers each request of one client later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it for the answers."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """A request ends with an empty line."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            _, _, self._received = self._received.partition(b"\r\n\r\n")
            asyncio.get_running_loop().call_later(self._seconds, self._transport.write, ANSWER)


async def _serve(port: int, seconds: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(seconds), LOOPBACK, port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]) / 1000))
