"""G9: what a worker's processes hold after many pipelines, beside what they held after a few.

Counted is what they keep for themselves. The pages of program files are not: they are never more, and the kernel
divides them among all processes of the machine that map them, so that they seem to grow when another one ends.
"""

from pathlib import Path
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
KIB: Final = 2**10
MIB: Final = 2**20


def measure(place: Place, few: int = FEW, many: int = MANY) -> list[Measured]:
    """The worker's tree (parent, pool process, sweep) after `many` over after `few`."""
    place.empty()
    contender = Pipelines([Setting("prefork", 1, 4)], extra={FOR_EVER: "1"})
    with contender.running(contender.settings[0]) as heads:
        (head,) = heads["workers"]
        seconds_for(contender, few, SECONDS, at_once=AT_ONCE)
        before = held(head)
        say(f"G9: {told(before)} after {few} pipelines")
        done = few
        while done < many:
            piece = min(many - done, 10_000)
            seconds_for(contender, piece, SECONDS, at_once=AT_ONCE)
            done += piece
            after = held(head)
            say(f"G9: {told(after)} after {done} pipelines")
    detail = f"{told(before)} after {few} pipelines, {told(after)} after {many}: the memory of a worker, "
    detail += "with its one pool process, never replaced, and its sweep; not the pages of program files"
    return [Measured(GOALS["G9"], sum(after.values()) / sum(before.values()), detail)]


def told(each: dict[str, int]) -> str:
    """In words: the sum and its parts."""
    parts = ", ".join(f"{name} {number(size / MIB)}" for name, size in each.items())
    return f"{number(sum(each.values()) / MIB)} MiB ({parts})"


def held(head: int) -> dict[str, int]:
    """Bytes of memory of a worker and its descendants, by what they are."""
    parent = psutil.Process(head)
    sizes = {"parent": private(head)}
    for child in parent.children(recursive=True):
        name = "sweep" if "sweep" in child.cmdline() else "pool"
        sizes[name] = sizes.get(name, 0) + private(child.pid)
    return sizes


def private(process: int) -> int:
    """Bytes of memory that no file backs; what a fork shares counts by its share (Linux; else what is unique)."""
    rollup = Path(f"/proc/{process}/smaps_rollup")
    if not rollup.exists():
        return int(psutil.Process(process).memory_full_info().uss)
    kilobytes = dict(line.split(":", 1) for line in rollup.read_text().splitlines()[1:])
    return sum(int(kilobytes[name].split()[0]) * KIB for name in ("Pss_Anon", "Pss_Shmem"))
