"""Starting and ending processes so that none is left behind and no stranger is hit.

Each process heads a session and a group of its own, dies with its parent (on Linux) and carries
the data folder in its environment, by which a later run knows what an earlier one left running.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "LOCAL_DATA_FOLDER"
PR_SET_PDEATHSIG = 1  # prctl(2)
KILL_SECONDS = 2.0
LOG_BYTES = 5 * 1024 * 1024  # a longer log is put aside when the program starts


@dataclass(frozen=True)
class Account:
    """The user a program runs as; the runner must be root to use another than its own."""

    name: str
    uid: int
    gid: int


def environment(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with the folder's mark and what is given."""
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"]))
    own = {MARK: str(folder), "NO_PROXY": direct, "no_proxy": direct, "PYTHONUNBUFFERED": "1"}
    return dict(os.environ) | own | dict(extra or {})


def start(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path | None = None,
    account: Account | None = None,
    dies_by: signal.Signals = signal.SIGKILL,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program at the head of a new session, its output appended to a log.

    ``dies_by`` is the signal the kernel sends it when this process is killed. That is tied to the
    thread that calls: it must live as long as the program is wanted.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=dies_with_parent(dies_by),  # noqa: PLW1509  # one system call, everything loaded before
            pass_fds=pass_fds,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


def dies_with_parent(number: signal.Signals) -> Callable[[], None]:
    """What a new process calls before its program, for the kernel to end it with its parent (on Linux)."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl, parent = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os.kill(os.getpid(), signal.SIGKILL)

    return in_child


def is_over(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended, without reaping it: until it is reaped nobody gets its number."""
    if process.returncode is not None:
        return True
    try:
        return _is_gone(psutil.Process(process.pid))
    except psutil.NoSuchProcess:
        return True


def end_group(process: subprocess.Popen[bytes]) -> int:
    """Kill what is left of a process's group, reap it, and return its exit status."""
    # Killed before it is reaped: afterwards its number could be a stranger's.
    if process.returncode is None:
        members = _group(process.pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        _wait_for_the_end_of(members)
    return process.wait()


def finish(process: subprocess.Popen[bytes]) -> int:
    """Wait until it ends by itself and return its exit status; its group is killed when the wait is broken off."""
    try:
        return process.wait()
    finally:
        end_group(process)


def _group(leader: int) -> list[psutil.Process]:
    members = []
    for pid in psutil.pids():
        with suppress(psutil.Error, OSError):
            if os.getpgid(pid) == leader:
                members.append(psutil.Process(pid))
    return members


def stop(processes: Iterable[subprocess.Popen[bytes]], number: signal.Signals, seconds: float) -> None:
    """Ask all of them to end, wait, then kill what is left of each one's group."""
    asked = list(processes)
    for process in asked:
        if not is_over(process):
            process.send_signal(number)
    deadline = time.monotonic() + seconds
    while not all(is_over(process) for process in asked) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in asked:
        end_group(process)


def working_in(folder: Path, name: str) -> list[psutil.Process]:
    """Processes of that name whose working directory is this folder.

    PostgreSQL's processes work in their cluster's folder whoever started them, each in a session
    of its own, and Redis in the one it was started in.
    """
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == name:
            with suppress(psutil.Error, OSError):
                if Path(process.cwd()) == folder:
                    found.append(process)
    return found


def marked(folder: Path) -> list[psutil.Process]:
    """Processes that carry this data folder's mark, but neither this one nor its ancestors."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid not in own and process.environ().get(MARK) == str(folder):
                found.append(process)
    return found


def kill(processes: Iterable[psutil.Process]) -> int:
    """Kill these (psutil compares start times: never another with the same number); how many there were."""
    killed = list(processes)
    for process in killed:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _wait_for_the_end_of(killed)
    return len(killed)


def _wait_for_the_end_of(killed: list[psutil.Process]) -> None:
    deadline = time.monotonic() + KILL_SECONDS
    while not all(_is_gone(process) for process in killed) and time.monotonic() < deadline:
        time.sleep(0.005)


def _is_gone(process: psutil.Process) -> bool:
    """Whether it has ended; one whose parent has not reaped it yet holds nothing any more."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
