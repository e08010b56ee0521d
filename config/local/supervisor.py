"""Keeps named programs running: one that dies is cleared away and started again.

The thread that watches also starts what died, and lives until everything is stopped: on Linux a
program dies with the thread that started it.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from config.local import processes
from config.local.folder import LocalError

WATCH_SECONDS = 0.05
# A program that ends by itself this soon after its start is not started again at once.
YOUNG_SECONDS = 5.0
FIRST_DELAY, LONGEST_DELAY = 0.5, 10.0


@dataclass(frozen=True)
class Program:
    """How to start one program, what to clear away when it died, and how to ask it to end."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    clear: Callable[[], object] = lambda: None
    stop_with: signal.Signals = signal.SIGTERM
    stop_seconds: float = 5.0


@dataclass
class _Watched:
    program: Program
    process: subprocess.Popen[bytes] | None
    started: float = field(default_factory=time.monotonic)
    failures: int = 0  # starts in a row that ended by themselves
    due: float = 0.0


class Supervisor:
    """Starts programs, watches them, stops them. ``changed`` is called after each restart."""

    def __init__(self, *, say: Callable[[str], None], changed: Callable[[], None] = lambda: None) -> None:
        self._say = say
        self.changed = changed
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self, program: Program) -> subprocess.Popen[bytes]:
        """Start a program and watch it from now on."""
        process = program.start()
        with self._lock:
            self._watched[program.name] = _Watched(program, process)
            if not self._thread.is_alive():
                self._thread.start()
        return process

    def pids(self) -> dict[str, int]:
        """Process number of each program that runs now; each heads its group."""
        with self._lock:
            return {name: watched.process.pid for name, watched in self._watched.items() if watched.process}

    def failures(self, name: str) -> int:
        """How often in a row this program ended by itself soon after its start."""
        with self._lock:
            return self._watched[name].failures

    def stop(self, names: Sequence[str] | None = None) -> None:
        """End these programs (default: all that are left) together; none is started again."""
        with self._lock:
            chosen = [self._watched.pop(name) for name in names or list(self._watched) if name in self._watched]
        stopping = [
            threading.Thread(target=_stop, args=(watched.program, watched.process))
            for watched in chosen
            if watched.process
        ]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        if names is None:
            self._ending.set()

    def _watch(self) -> None:
        while not self._ending.wait(WATCH_SECONDS):
            if self._tend_all():
                self.changed()

    def _tend_all(self) -> bool:
        """Look at each program once; whether one was started anew."""
        with self._lock:  # held while starting: a stop then finds what was started
            started = [self._tend(watched) for watched in self._watched.values()]
        return any(started)

    def _tend(self, watched: _Watched) -> bool:
        if watched.process is not None:
            if not processes.is_over(watched.process):
                return False
            self._bury(watched, watched.process)
        if time.monotonic() < watched.due:
            return False
        try:
            watched.process = watched.program.start()
        except (LocalError, OSError) as error:
            self._say(f"{watched.program.name} could not be started again: {error}")
            self._postpone(watched)
            return False
        watched.started = time.monotonic()
        self._say(f"{watched.program.name} runs again as process {watched.process.pid}.")
        return True

    def _bury(self, watched: _Watched, process: subprocess.Popen[bytes]) -> None:
        """End what is left of its group, and decide when it starts again."""
        status = processes.end_group(process)
        watched.program.clear()
        watched.process = None
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        self._say(f"{watched.program.name} (process {process.pid}) {how}: starting it again.")
        # Killed from outside: at once, however often. Ended by itself at its start: more and more slowly.
        if status >= 0 and time.monotonic() - watched.started < YOUNG_SECONDS:
            self._postpone(watched)
        else:
            watched.failures = 0
            watched.due = 0.0

    def _postpone(self, watched: _Watched) -> None:
        watched.due = time.monotonic() + min(FIRST_DELAY * 2**watched.failures, LONGEST_DELAY)
        watched.failures += 1


def _stop(program: Program, process: subprocess.Popen[bytes]) -> None:
    processes.stop([process], program.stop_with, program.stop_seconds)
    program.clear()
