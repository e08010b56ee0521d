"""Data folders for the runner's tests, and watching the processes it starts."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from config.local import processes
from config.local.folder import DataFolder
from config.local.place import outside_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder's path that any user may enter, and nothing left of it afterwards."""
    above = Path(tempfile.mkdtemp(prefix="local-tests-")).resolve()
    above.chmod(0o755)
    yield above / "data"
    processes.kill(processes.marked(above / "data"))
    for left in [above, *outside_of(above / "data")]:
        shutil.rmtree(left, ignore_errors=True)


@pytest.fixture
def folder(data: Path) -> DataFolder:
    return DataFolder(data)


@pytest.fixture
def said() -> list[str]:
    """What a runner said, when given ``said.append``."""
    return []


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something that another process does; AssertionError when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., None]:
    return until


@pytest.fixture
def spawn(data: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start one of the runner's modules as its user would; it is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def module(name: str, *arguments: object, **env: str) -> subprocess.Popen[str]:
        inherited = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "BROKER_URL")}
        process = subprocess.Popen(
            [sys.executable, "-m", name, *(str(argument) for argument in arguments)],
            cwd=ROOT,
            env=inherited | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield module
    processes.kill(processes.marked(data))  # what they started holds their pipes open
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def left_running(data: Path) -> Callable[[], list[psutil.Process]]:
    """What runs on the data folder: the marked processes and the servers that work in it."""

    def find() -> list[psutil.Process]:
        servers = processes.working_in(data / "redis", "redis-server")
        for home in [data / "postgres", *outside_of(data)]:
            servers += processes.working_in(home / "cluster", "postgres")
        return [process for process in servers + processes.marked(data) if process.status() != psutil.STATUS_ZOMBIE]

    return find
