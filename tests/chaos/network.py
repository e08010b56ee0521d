"""A network of our own on one machine: a bridge and hosts, each in a network namespace.

This process moves into a namespace where the bridge is; every host is another one. Nothing is on the machine's own
interfaces, and nothing has a name or a process of its own: all of it is gone when this process ends, however it ends.
"""

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

CLONE_NEWNET: Final = 0x40000000  # unshare(2), setns(2)
HUB: Final = "10.77.0.1"  # the bridge's address, and the host's where this process is
BITS: Final = 24
PROGRAMS: Final = ("ip", "nsenter")

T = TypeVar("T")


class NotPossibleError(Exception):
    """This machine does not let us; the message says why."""


@dataclass(frozen=True)
class Network:
    """Hosts by their names: each one's namespace (an open file) and address."""

    namespaces: Mapping[str, int]
    addresses: Mapping[str, str]

    def inside(self, host: str) -> list[str]:
        """What a command is prefixed with to run on that host, as the same process."""
        return ["nsenter", f"--net={_path(self.namespaces[host])}", "--"]

    def listen(self, host: str, port: int) -> socket.socket:
        """A socket that listens on that host, wherever the process runs that takes it over."""

        def opened() -> socket.socket:
            _call("setns", self.namespaces[host], CLONE_NEWNET)
            return socket.create_server((self.addresses[host], port), backlog=1024)

        return _aside(opened)

    def cut(self, host: str) -> None:
        """Pull the cable: packets are lost either way, and nobody is told."""
        _ip("link", "set", _port(host), "down")

    def restore(self, host: str) -> None:
        """And put it back."""
        _ip("link", "set", _port(host), "up")


def private(addresses: Mapping[str, str]) -> Network:
    """Move this process into a network of these hosts, for good. Raises NotPossibleError.

    To be called before any other thread is started: those that exist stay in the machine's network.
    """
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise NotPossibleError(f"{' and '.join(missing)} not found (Debian's packages iproute2 and util-linux)")
    try:
        _call("unshare", CLONE_NEWNET)
    except OSError as error:
        raise NotPossibleError(f"no network namespace can be made ({error.strerror}): root is needed") from error
    _ip("link", "set", "lo", "up")
    _ip("link", "add", "hub", "type", "bridge")
    _ip("address", "add", f"{HUB}/{BITS}", "dev", "hub")
    _ip("link", "set", "hub", "up")
    network = Network({host: _aside(_new_namespace) for host in addresses}, addresses)
    for host in addresses:
        _plug_in(network, host)
    # Proxies of the machine's own network cannot be reached from here.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), HUB, *addresses.values()]))
    return network


def _plug_in(network: Network, host: str) -> None:
    """A cable from the bridge to the host."""
    peer = ["peer", "name", "eth0", "netns", _path(network.namespaces[host])]
    _ip("link", "add", _port(host), "type", "veth", *peer)
    _ip("link", "set", _port(host), "master", "hub", "up")
    inside = network.inside(host)
    _ip("link", "set", "lo", "up", inside=inside)
    _ip("address", "add", f"{network.addresses[host]}/{BITS}", "dev", "eth0", inside=inside)
    _ip("link", "set", "eth0", "up", inside=inside)


def _port(host: str) -> str:
    return f"to-{host}"


def _path(namespace: int) -> str:
    return f"/proc/{os.getpid()}/fd/{namespace}"


def _new_namespace() -> int:
    _call("unshare", CLONE_NEWNET)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _aside(act: Callable[[], T]) -> T:
    """In a thread of its own: a namespace is a thread's."""
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(act()))
    thread.start()
    thread.join()
    return found[0]


def _call(name: str, *arguments: int) -> None:
    """A system call that Python 3.11 does not have. Raises OSError."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*arguments: str, inside: list[str] | None = None) -> None:
    done = subprocess.run([*(inside or []), "ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotPossibleError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
