"""The network of `make chaos ARGS=--hosts`: hosts that reach each other, until a cable is pulled; nothing is left."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import network

SAYS_SO = """
import socket, subprocess, sys
from tests.chaos import network

net = network.private({"near": "10.77.0.2", "far": "10.77.0.3"})
listening = net.listen("near", 8000)

def reaches(seconds):
    client = f"import socket; socket.create_connection(('10.77.0.2', 8000), timeout={seconds}).close()"
    command = [*net.inside("far"), sys.executable, "-c", client]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0

print("joined", reaches(20))
net.cut("near")
print("cut", reaches(0.5))
net.restore("near")
print("restored", reaches(20))
try:
    socket.create_server(("10.77.0.2", 8000)).close()
except OSError:
    print("that address is the host's alone")
"""


def _may_make_namespaces() -> bool:
    tool = shutil.which("unshare")
    return tool is not None and subprocess.run([tool, "--net", "true"], check=False).returncode == 0


@pytest.mark.skipif(
    os.geteuid() != 0 or any(shutil.which(name) is None for name in network.PROGRAMS) or not _may_make_namespaces(),
    reason="no network namespace can be made here: it takes root, iproute2 and util-linux",
)
def test_hosts_reach_each_other_until_a_cable_is_pulled() -> None:
    before = Path("/proc/net/dev").read_text().count(":")
    done = subprocess.run([sys.executable, "-c", SAYS_SO], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "joined True",
        "cut False",
        "restored True",
        "that address is the host's alone",
    ]
    assert Path("/proc/net/dev").read_text().count(":") == before


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda monkeypatch: monkeypatch.setattr(network.shutil, "which", lambda _name: None), "iproute2"),
        (lambda monkeypatch: monkeypatch.setattr(network, "_call", _refused), "root is needed"),
    ],
    ids=["no programs", "no right"],
)
def test_a_machine_that_does_not_let_us_says_why(monkeypatch: pytest.MonkeyPatch, break_it, why: str) -> None:
    monkeypatch.setattr(network.shutil, "which", lambda name: f"/usr/bin/{name}")
    break_it(monkeypatch)
    with pytest.raises(network.NotPossibleError, match=why):
        network.private({})


def _refused(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")
