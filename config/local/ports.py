"""Loopback ports."""

import errno
import random
import socket

LOOPBACK = "127.0.0.1"
# Below every common range of ephemeral ports: while a server is down between a kill and its
# restart, no outgoing connection is given its port (nor connects to itself on it).
FIRST, LAST = 20_000, 32_000
TRIES = 200


class PortTakenError(Exception):
    """The port that was asked for belongs to somebody else."""


def bind(port: int) -> socket.socket:
    """A socket bound to a loopback port; OSError when it is taken or not allowed."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Connections of an earlier run in TIME_WAIT do not block it; a listening socket does.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, port))
    except OSError:
        bound.close()
        raise
    return bound


def free_port() -> int:
    """A port that nothing uses now, for a server that binds it itself a moment later."""
    for port in random.sample(range(FIRST, LAST), TRIES):
        try:
            bind(port).close()
        except OSError:
            continue
        return port
    raise PortTakenError(f"None of {TRIES} loopback ports between {FIRST} and {LAST} was free: free some, then retry.")


def listen(port: int | None, default: int) -> socket.socket:
    """A listening socket on the port asked for, or on the default or the next free one after it.

    Raises PortTakenError when a port that was asked for cannot be had.
    """
    if port is not None:
        return _listen_on(port)
    for candidate in range(default, default + TRIES):
        try:
            return _listen_on(candidate)
        except PortTakenError:
            continue
    raise PortTakenError(f"No free port from {default} to {default + TRIES}: name one with --port N.")


def _listen_on(port: int) -> socket.socket:
    try:
        listening = bind(port)
        listening.listen(1024)
    except OSError as error:
        why = "is not allowed for this user" if error.errno == errno.EACCES else "is used by another program"
        raise PortTakenError(f"Port {port} {why}: choose another with --port N.") from error
    return listening
