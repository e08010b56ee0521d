"""Others' sagas under the same kills: `make chaos ARGS=--peers` installs each into an environment of its own.

Each has four steps and their commits or undoes, every effect an HTTP request that is counted outside; settings
are those that favour it. Nothing of the project runs in their processes.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from config.local import processes
from config.local.folder import DataFolder
from config.local.services import Services, end_leftovers
from config.local.supervisor import Program, Supervisor
from tests.chaos import figures, killing
from tests.chaos.peers.effects import Effects
from tests.chaos.place import DATA
from tests.chaos.schedule import kills

HERE: Final = Path(__file__).resolve().parent
PEERS: Final = {
    "DBOS 3.4.0": ("dbos_saga.py", ["dbos==3.4.0"]),
    "Celery chain 5.7.0": ("celery_saga.py", ["celery[redis]==5.7.0"]),
}
WORKERS: Final = ("peer-1", "peer-2")
PATIENCE: Final = 60.0  # seconds after the last submission: what has not ended then is lost or stuck
READY_SECONDS: Final = 60.0
REFUSED: Final = 0.4  # of the sagas, as of the postings in scenario A

Say = Callable[[str], None]


def compared(seed: int, own: dict[str, Any], say: Say, *, count: int = killing.SUBMISSIONS) -> dict[str, Any]:
    """A line for each: how many ended right, repeats a kill, and the times."""
    table = {"this project": _own_line(own)}
    for name, (script, needs) in PEERS.items():
        python = _environment(DATA / "peers" / script.removesuffix(".py"), needs, say)
        if python is None:
            table[name] = "not measured: pip could not install it here"
            continue
        say(f"{name}: {count} sagas under the same kills …")
        table[name] = _measure(python, HERE / script, seed, count, say)
    return {f"under the same kills: {name}": line for name, line in table.items()}


def _own_line(own: dict[str, Any]) -> str:
    times = own["from accept to end"]
    right = own["pipelines"] - own["wrong"]
    return _line(right, own["pipelines"], own["repeats"], own["kills"], times)


def _line(right: int, count: int, repeats: int, killed: int, times: figures.Spread) -> str:
    repeated = f"{repeats / killed:.2f} repeats a kill ({killed} kills)" if killed else "no kills"
    return f"{right} of {count} ended right, {repeated}, p50 {times.p50} s, p99 {times.p99} s, longest {times.max} s"


def _environment(folder: Path, needs: list[str], say: Say) -> Path | None:
    """The interpreter of an environment that has them; None when pip cannot install them."""
    python = folder / "bin" / "python"
    if (folder / "done").exists():
        return python
    say(f"Installing {', '.join(needs)} …")
    for command in ([sys.executable, "-m", "venv", folder], [python, "-m", "pip", "install", "--quiet", *needs]):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            say(f"{needs[0]} was not installed: {(done.stderr or done.stdout).strip()[-300:]}")
            return None
    (folder / "done").touch()
    return python


@contextmanager
def _workers(python: Path, script: Path, effects: Effects, say: Say) -> Iterator[tuple[Supervisor, dict[str, str]]]:
    """Both worker trees, started again whenever they die, on a PostgreSQL and a Redis of their own."""
    folder = DataFolder(DATA / "peers" / "data")
    with folder.claimed("peer"):
        end_leftovers(folder)
        services = Services.of(folder, durable=True, say=say)
        with services.running():
            services.redis.flush()
            env = processes.environment(folder.path, services.environment() | {"EFFECTS": effects.url})
            env["RUN"] = f"{time.time():.0f}"  # a new queue and a new schema for every run
            supervisor = Supervisor(say=lambda _: None)
            try:
                for name in WORKERS:
                    start = partial(_start, python, script, name, env, folder)
                    supervisor.start(Program(name, start))
                yield supervisor, env
            finally:
                supervisor.stop()


def _start(python: Path, script: Path, name: str, env: dict[str, str], folder: DataFolder) -> subprocess.Popen[bytes]:
    log = folder.logs / f"{script.stem}-{name}.log"
    return processes.start([python, script, "work", name], env=env, log=log, cwd=HERE)


def _measure(python: Path, script: Path, seed: int, count: int, say: Say) -> str:
    chance = random.Random(f"{seed}:sagas")
    sagas = {f"saga-{number}": chance.random() < REFUSED for number in range(count)}
    with Effects.serving() as effects, _workers(python, script, effects, say) as (supervisor, env):
        if not effects.wait_for_ready(len(WORKERS), READY_SECONDS):
            return f"not measured: its workers did not start (see {DATA / 'peers' / 'data' / 'logs'})"
        command = [str(python), str(script), "submit"]
        submitter = subprocess.Popen(
            command, env=env, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert submitter.stdin is not None
        began, submitted, at = time.monotonic(), dict[str, float](), 0.0
        acts = kills(seed, count * killing.EVERY, killing.KILL_EVERY)
        killed = len(acts)
        for saga, is_refused in sagas.items():
            at += chance.uniform(0, 2 * killing.EVERY)
            while acts and acts[0].at <= time.monotonic() - began:
                _kill(supervisor, acts.pop(0).chance)
            time.sleep(max(0.0, began + at - time.monotonic()))
            submitted[saga] = time.monotonic()
            try:
                submitter.stdin.write(f"{saga} {int(is_refused)}\n")
                submitter.stdin.flush()
            except BrokenPipeError:
                return "not measured: what submits its sagas ended; its last words stand above"
        effects.wait_for(sagas, PATIENCE)
        submitter.stdin.close()
        submitter.wait(10)
    right = [saga for saga, is_refused in sagas.items() if effects.ended_right(saga, is_refused=is_refused)]
    times = figures.spread(effects.ends[saga] - submitted[saga] for saga in right)
    return _line(len(right), count, effects.repeats(), killed - len(acts), times)


def _kill(supervisor: Supervisor, chance: float) -> None:
    pid = supervisor.pids().get(WORKERS[int(chance * len(WORKERS))])
    if pid is not None:
        os.killpg(pid, signal.SIGKILL)
