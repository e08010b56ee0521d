"""G9: what a worker's processes hold after many pipelines, beside what they held after a few."""

from typing import Final

import psutil

from benchmarks.apps import FOR_EVER
from benchmarks.contenders import Pipelines, seconds_for
from benchmarks.figures import number
from benchmarks.goals import GOALS, Measured
from benchmarks.place import Place
from benchmarks.saturation import say
from benchmarks.workers import Setting

FEW: Final = 1_000
MANY: Final = 100_000
AT_ONCE: Final = 500  # pipelines under way: a backlog would be measured with it
SECONDS: Final = 3600.0
MIB: Final = 2**20


def measure(place: Place, few: int = FEW, many: int = MANY) -> list[Measured]:
    """The worker's tree (parent, pool process, sweep) after `many` over after `few`, its proportional set size."""
    place.empty()
    contender = Pipelines([Setting("prefork", 1, 4)], extra={FOR_EVER: "1"})
    with contender.running(contender.settings[0]) as heads:
        (head,) = heads["workers"]
        seconds_for(contender, few, SECONDS, at_once=AT_ONCE)
        before = held(head)
        done = few
        while done < many:
            piece = min(many - done, 10_000)
            seconds_for(contender, piece, SECONDS, at_once=AT_ONCE)
            done += piece
            say(f"G9: {number(held(head) / MIB)} MiB after {done} pipelines")
        after = held(head)
    detail = f"{number(before / MIB)} MiB after {few} pipelines, {number(after / MIB)} MiB after {many}: a worker's "
    detail += "parent, its one pool process, never replaced, and its sweep; what they share counts once"
    return [Measured(GOALS["G9"], after / before, detail)]


def held(head: int) -> int:
    """Bytes that a process and its descendants hold: shared pages count by their share (Linux; else all of each)."""
    tree = [psutil.Process(head), *psutil.Process(head).children(recursive=True)]
    return sum(_of(process) for process in tree)


def _of(process: psutil.Process) -> int:
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))
