"""`make bench`: measure, print the table, write benchmarks/latest.json (with --quick: benchmarks/quick.json)."""

import argparse
import os
import sys
from pathlib import Path

from benchmarks import accept, counting, idle, machine, report, saturation
from benchmarks.goals import GOALS, Measured
from benchmarks.place import Place, taken

HERE = Path(__file__).resolve().parent
PARTS = ("G1", "G5", "G6", "G7")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, within three minutes")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part only; writes no file")
    return parser.parse_args()


def main() -> int:
    """Measure and report; 2 when the servers are not named."""
    options = arguments()
    missing = [name for name in ("DATABASE_URL", "BROKER_URL", "SECRET_KEY") if not os.environ.get(name)]
    if missing:
        print(f'{", ".join(missing)} not set: run "make bench", which starts PostgreSQL and Redis.', file=sys.stderr)
        return 2
    wanted = options.only or PARTS
    with taken() as place:
        on = machine.machine(), machine.versions(os.environ["DATABASE_URL"], os.environ["BROKER_URL"])
        measured = in_order(measure(place, wanted, quick=options.quick))
    print(report.as_text(*on, measured))
    if not options.only:
        path = HERE / ("quick.json" if options.quick else "latest.json")
        report.write(path, report.as_json(*on, measured))
        print(f"\nWritten to {path}")
    return 0


def measure(place: Place, wanted: tuple[str, ...] | list[str], *, quick: bool) -> list[Measured]:
    """The wanted parts, the quiet ones first."""
    measured: list[Measured] = []
    if "G7" in wanted:
        measured += counting.measure(place, 10 if quick else 50)
    if "G5" in wanted:
        measured += idle.measure(place, 10 if quick else 50)
    if "G6" in wanted:
        measured += accept.measure(place, accept.QUICK if quick else accept.FULL)
    if "G1" in wanted:
        measured += saturation.measure(place, saturation.QUICK if quick else saturation.FULL)
    return measured


def in_order(measured: list[Measured]) -> list[Measured]:
    """As the goals are listed."""
    places = list(GOALS)
    return sorted(measured, key=lambda one: places.index(one.goal.id))


if __name__ == "__main__":
    sys.exit(main())
