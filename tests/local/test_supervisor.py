"""Programs that die are cleared away and started again; none is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from config.local import processes
from config.local.folder import DataFolder
from config.local.supervisor import FIRST_DELAY, Program, Supervisor

# A leader with one child, as a Celery worker with its pool; the child's number stands in a file.
WITH_CHILD = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(60)
"""


class Watched:
    """A supervisor and what it told."""

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.changes = threading.Semaphore(0)
        self.supervisor = Supervisor(say=self.said.append, changed=self.changes.release)

    def start(self, name: str, code: str, *arguments: object, **more) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", textwrap.dedent(code), *(str(argument) for argument in arguments)]
        env = processes.environment(self.folder.path)
        log = self.folder.logs / f"{name}.log"
        return self.supervisor.start(Program(name, lambda: processes.start(command, env=env, log=log), **more))


@pytest.fixture
def watched(folder: DataFolder) -> Iterator[Watched]:
    watched = Watched(folder)
    yield watched
    watched.supervisor.stop()


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_each_program_heads_a_group_of_its_own(watched: Watched):
    pids = [watched.start(name, "import time; time.sleep(60)").pid for name in ("one", "two")]
    assert [os.getpgid(pid) for pid in pids] == pids
    assert watched.supervisor.pids() == {"one": pids[0], "two": pids[1]}


def test_a_killed_program_runs_again_at_once_and_the_rest_of_its_group_is_ended(watched: Watched, tmp_path, until):
    noted = tmp_path / "child"
    leader = watched.start("worker", WITH_CHILD, noted)
    until(lambda: noted.exists() and noted.read_text())
    child = int(noted.read_text())
    os.kill(leader.pid, signal.SIGKILL)
    assert watched.changes.acquire(timeout=10)
    assert is_gone(child)
    assert watched.supervisor.pids()["worker"] != leader.pid
    assert not is_gone(watched.supervisor.pids()["worker"])


def test_killing_it_again_and_again_never_slows_its_restart(watched: Watched):
    watched.start("web", "import time; time.sleep(60)")
    for _ in range(8):  # with a delay that doubled, the eighth would come after a minute
        os.kill(watched.supervisor.pids()["web"], signal.SIGKILL)
        assert watched.changes.acquire(timeout=FIRST_DELAY)


def test_a_program_that_fails_at_its_start_is_started_more_and_more_slowly(watched: Watched, until):
    watched.start("broken", "raise SystemExit(3)")
    assert watched.changes.acquire(timeout=10)  # the second start
    until(lambda: watched.supervisor.failures("broken") == 2)
    assert len([line for line in watched.said if "ended with status 3" in line]) == 2
    assert not watched.changes.acquire(timeout=FIRST_DELAY)


def test_a_start_that_raises_is_tried_again(watched: Watched, until):
    tries = []

    def start() -> subprocess.Popen[bytes]:
        tries.append(1)
        if len(tries) == 2:
            raise OSError("no processes left")
        return processes.start(["sleep", "60"], env={}, log=watched.folder.logs / "x.log")

    os.kill(watched.supervisor.start(Program("x", start)).pid, signal.SIGKILL)
    assert watched.changes.acquire(timeout=10)
    assert len(tries) == 3
    assert any("no processes left" in line for line in watched.said)


def test_what_is_stopped_is_not_started_again(watched: Watched):
    stopped = watched.start("gone", "import time; time.sleep(60)")
    watched.start("stays", "import time; time.sleep(60)")
    watched.supervisor.stop(["gone"])
    assert is_gone(stopped.pid)
    assert list(watched.supervisor.pids()) == ["stays"]
    assert not watched.changes.acquire(timeout=0.3)


def test_a_program_that_ignores_the_request_to_end_is_killed_with_its_group(watched: Watched, tmp_path, until):
    noted = tmp_path / "child"
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    leader = watched.start("deaf", deaf + WITH_CHILD, noted, stop_seconds=0.2)
    until(lambda: noted.exists() and noted.read_text())
    watched.supervisor.stop()
    assert is_gone(leader.pid)
    assert is_gone(int(noted.read_text()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's parent-death signal is Linux's")
def test_programs_die_with_a_supervisor_that_is_killed(folder: DataFolder, tmp_path: Path, until):
    code = """
    import sys, time
    from pathlib import Path
    from config.local import processes
    from config.local.supervisor import Program, Supervisor
    data = Path(sys.argv[1])
    env = processes.environment(data)
    supervisor = Supervisor(say=print)
    started = supervisor.start(Program("x", lambda: processes.start(["sleep", "60"], env=env, log=data / "x.log")))
    print(started.pid, flush=True)
    time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        program = int(runner.stdout.readline())
        assert not is_gone(program)
        runner.kill()
    until(lambda: is_gone(program))


def test_leftovers_are_known_by_the_folder_they_carry_and_strangers_spared(folder: DataFolder, data: Path):
    log = folder.logs / "x.log"
    left = processes.start(["sleep", "60"], env=processes.environment(folder.path), log=log)
    stranger = processes.start(["sleep", "60"], env=processes.environment(data / "other"), log=log)
    assert processes.kill(processes.marked(folder.path)) == 1
    assert processes.is_over(left)
    assert not processes.is_over(stranger)
    processes.end_group(stranger)
    processes.end_group(left)
