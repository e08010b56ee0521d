"""A provider without an SDK, on a port of its own: it keeps what it was asked and answers as it is told."""

import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Answer = tuple[int, dict[str, Any]]


@dataclass
class Vendor:
    """`answer(method, path, query, body)` has the effect and says what to answer; `faults` strike one write each."""

    answer: Callable[[str, str, dict[str, str], str], Answer]
    faults: deque[str | Answer] = field(default_factory=deque)
    writes: int = 0
    url: str = ""

    def reply(self, method: str, target: str, body: str) -> Answer | None:
        """None: the connection is cut."""
        parts = urlsplit(target)
        given = (method, parts.path, dict(parse_qsl(parts.query)), body)
        if method == "GET":
            return self.answer(*given)
        self.writes += 1
        fault = self.faults.popleft() if self.faults else ""
        if isinstance(fault, tuple):
            return fault
        if fault == "drop_before":
            return None
        said = self.answer(*given)
        return {"drop_after": None, "error_after": (500, {})}.get(fault, said)


@contextmanager
def serving(vendor: Vendor) -> Iterator[Vendor]:
    """Serve it on a free port until the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            said = vendor.reply(self.command, self.path, body)
            if said is None:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            payload = dumps(said[1]).encode()
            self.send_response(said[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def finish(self) -> None:
            if self.connection.fileno() != -1:
                super().finish()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        vendor.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield vendor
        server.shutdown()
        thread.join()
