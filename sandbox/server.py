"""Runs the application on uvicorn, on one loopback port, over one data folder."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from pathlib import Path
from typing import IO, Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.app import Sandbox
from sandbox.wire import TRANSPORT
from sandbox.world import World

HOST = "127.0.0.1"
KEEP_ALIVE = 3_600  # seconds: a server that closes idle connections makes clients see resets nobody asked for
BACKLOG = 2_048  # connections that may wait to be accepted
HANDOVER = 3.0  # seconds that a restart waits for its predecessor to let go of the data folder
log = logging.getLogger("sandbox")


class CannotStart(Exception):
    """The port or the data folder cannot be had; the message says what to do."""


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which also lends the application its transport so that faults can cut it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[TRANSPORT] = self.transport


def listen(port: int, host: str = HOST) -> socket.socket:
    """A socket that listens on `port` of loopback (or another host), 0 meaning any free one. Raises CannotStart."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotStart(
            f"port {port} on {host} cannot be had: give another with --port ({error.strerror})"
        ) from error
    return listener


def own(data: Path) -> IO[str]:
    """Makes the data folder and locks it for this process. Raises CannotStart when another sandbox keeps it."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "sandbox.lock").open("w")
    except OSError as error:
        raise CannotStart(f"cannot write in the data folder {data}: {error.strerror}") from error
    until = time.monotonic() + HANDOVER
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() > until:
                lock.close()
                raise CannotStart(f"another sandbox uses {data}: stop it or give another folder with --data") from error
            time.sleep(0.05)
        else:
            lock.write(str(os.getpid()))
            lock.flush()
            return lock


def serve(world: World, listener: socket.socket, *, log_requests: bool) -> None:
    """Serves until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        Sandbox(world),
        http=Protocol,
        loop="uvloop",
        lifespan="on",
        log_level="info" if log_requests else "warning",
        access_log=log_requests,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=1,
    )
    # For scripts that give port 0 and read where it is.
    host, port = listener.getsockname()
    print(f"sandbox listening on http://{host}:{port}", flush=True)  # noqa: T201 - the one line for who started it
    uvicorn.Server(config).run(sockets=[listener])
