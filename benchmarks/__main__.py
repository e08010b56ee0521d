"""`make bench`: measure, print the table, write benchmarks/latest.json (with --quick: benchmarks/quick.json)."""

import argparse
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from benchmarks import accept, counting, idle, machine, memory, report, scale, scaling, throughput, worst
from benchmarks.goals import GOALS, Measured
from benchmarks.place import Place, taken

HERE: Final = Path(__file__).resolve().parent
QUICK: Final = ("G1", "G2", "G4", "G5", "G6", "G7")
FULL: Final = ("G1", "G2", "G3", "G4", "G5", "G6", "G7")
WORST: Final = "B"  # what one client can do to the site: a table of its own
LONG: Final = {"scale": "G8", "memory": "G9", "processes": "G10"}

Part = Callable[[Place, Collection[str]], Sequence[Measured]]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, within three minutes")
    parser.add_argument(
        "--only", choices=[*FULL, *LONG.values(), WORST], action="append", help="this alone; writes no file"
    )
    parser.add_argument("--scale", action="store_true", help="G8: with a million finished pipelines (15 minutes)")
    parser.add_argument("--memory", action="store_true", help="G9: through 100,000 pipelines (20 minutes)")
    parser.add_argument("--processes", action="store_true", help="G10 and the pools: processes, threads, greenlets")
    return parser.parse_args()


def main() -> int:
    """Measure and report; 2 when the servers are not named."""
    options = arguments()
    missing = [name for name in ("DATABASE_URL", "BROKER_URL", "SECRET_KEY") if not os.environ.get(name)]
    if missing:
        print(f'{", ".join(missing)} not set: run "make bench", which starts PostgreSQL and Redis.', file=sys.stderr)
        return 2
    wanted = wanted_goals(options)
    with taken() as place:
        if wanted == [WORST]:
            return int(not all(cost.holds(each) for each, cost in worst.measure()))
        on = machine.machine(), machine.versions(os.environ["DATABASE_URL"], os.environ["BROKER_URL"])
        measured = in_order([one for part in parts(quick=options.quick) for one in part(place, wanted)])
    print(report.as_text(*on, measured))
    if not options.only:
        path = HERE / ("quick.json" if options.quick else "latest.json")
        content = report.as_json(*on, measured)
        report.write(path, content if options.quick else report.merged(path, content))
        print(f"\nWritten to {path}")
    return 0


def wanted_goals(options: argparse.Namespace) -> Sequence[str]:
    """The goals to measure: the named ones, the long ones, or those of every run."""
    if options.only:
        return list(options.only)
    long = [goal for name, goal in LONG.items() if getattr(options, name)]
    return long or (QUICK if options.quick else FULL)


def parts(*, quick: bool) -> list[Part]:
    """What measures, the quiet ones first; each returns only what is wanted of it."""
    amount = throughput.QUICK if quick else throughput.FULL
    waiting = throughput.WAITING_QUICK if quick else throughput.WAITING_FULL
    return [
        _if("G7", lambda place: counting.measure(place, 10 if quick else 50)),
        _if("G5", lambda place: idle.measure(place, 10 if quick else 50)),
        _if("G6", lambda place: accept.measure(place, accept.QUICK if quick else accept.FULL)),
        lambda place, wanted: throughput.measure(place, wanted, amount) if {"G1", "G2", "G3"} & set(wanted) else [],
        _if("G4", lambda place: throughput.measure_waiting(place, waiting)),
        _if("G10", scaling.measure),
        _if("G8", scale.measure),
        _if("G9", memory.measure),
    ]


def _if(goal: str, measure: Callable[[Place], Sequence[Measured]]) -> Part:
    return lambda place, wanted: measure(place) if goal in wanted else []


def in_order(measured: list[Measured]) -> list[Measured]:
    """As the goals are listed."""
    places = list(GOALS)
    return sorted(measured, key=lambda one: places.index(one.goal.id))


if __name__ == "__main__":
    sys.exit(main())
