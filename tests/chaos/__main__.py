"""`make chaos`: status 0 if nothing was lost or doubled and every fault fired, 1 if not, 2 if it cannot run."""

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from config.local.folder import LocalError
from config.local.ports import PortTakenError
from config.local.stack import QUEUES
from config.local.terminal import coloured, complain, say
from tests.chaos import hosts, killing, network, overload, peers, rabbitmq, report
from tests.chaos.place import DATA, WORKERS, Place, running
from tests.chaos.rabbitmq import RabbitPlace
from tests.chaos.schedule import RABBITMQ, REDIS
from tests.chaos.storm import storm

ENDING = (signal.SIGTERM, signal.SIGHUP)
STORM, KILLS, OVERLOAD, PEERS, HOSTS = "storm", "kills", "overload", "peers", "hosts"
MINUTES = {STORM: 3.0, OVERLOAD: 1.0}

Outcome = tuple[dict[str, Any], list[str]]


def arguments() -> argparse.Namespace:
    """The command line; MINUTES and SEED come from make."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES") or 0))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or random.randrange(10**6)))
    parser.add_argument("--broker", choices=("redis", "redis-memory", "rabbitmq"), default="redis")
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="data folder (.data/chaos/)")
    parser.add_argument("--keep", action="store_true", help="put the figures into docs/chaos.md")
    modes = parser.add_mutually_exclusive_group()
    for mode, help_ in (
        (KILLS, "worker trees killed every 4 s, and nothing else"),
        (PEERS, "the same, for DBOS and a plain Celery chain as well"),
        (OVERLOAD, "100 submissions a second for a minute"),
        (HOSTS, "web and two workers on hosts of their own (network namespaces), whose cables are pulled"),
    ):
        modes.add_argument(f"--{mode}", dest="mode", action="store_const", const=mode, help=help_)
    options = parser.parse_args()
    options.mode = options.mode or STORM
    options.minutes = options.minutes or MINUTES.get(options.mode, 0)
    return options


def chaos(options: argparse.Namespace) -> int:
    """Run, report, and say how to run it again."""
    if options.broker == "rabbitmq" and rabbitmq.program() is None:
        say("Skipped: rabbitmq-server is not installed here. On Debian: apt-get install rabbitmq-server.")
        return 0
    try:
        where = _place(options)
    except network.NotPossibleError as why:
        say(f"Skipped: {why}. Without --hosts the same runs as separate processes on one host.")
        return 0
    began = time.monotonic()
    with running(say, **where) as place:
        around = report.surroundings(place)
        facts, violations = _RUNS[options.mode](options, place)
    facts = {"seed": options.seed, "broker": options.broker} | facts | {"took": f"{time.monotonic() - began:.0f} s"}
    if options.mode == PEERS:
        facts |= peers.compared(options.seed, facts, say)
    return _told(options, facts, violations, around)


def _place(options: argparse.Namespace) -> dict[str, Any]:
    """How the stack is started for this run. Raises NotPossibleError."""
    place: dict[str, Any] = {"data": options.data, "durable_broker": options.broker == "redis", "workers": WORKERS}
    if options.broker == "rabbitmq":
        place["kind"] = RabbitPlace
    if options.mode in (KILLS, PEERS):
        place |= {"workers": dict.fromkeys(killing.WORKERS, QUEUES), "extra": killing.PLAIN_STEPS}
    if options.mode == OVERLOAD:
        place |= {"workers": overload.WORKERS, "extra": overload.EXTRA, "pool": overload.POOL}
        place |= {"nice": overload.NICE}
    if options.mode == HOSTS:
        place |= hosts.place_in(network.private(hosts.ADDRESSES))
    return place


def _storm(options: argparse.Namespace, place: Place) -> Outcome:
    broker = RABBITMQ if isinstance(place, RabbitPlace) else REDIS
    facts, violations = storm(place, options.seed, options.minutes, say, broker=broker)
    return {"minutes": options.minutes} | facts, violations


_RUNS: dict[str, Callable[[argparse.Namespace, Place], Outcome]] = {
    STORM: _storm,
    KILLS: lambda options, place: killing.killing(place, options.seed, say),
    PEERS: lambda options, place: killing.killing(place, options.seed, say),
    OVERLOAD: lambda options, place: overload.overload(place, options.seed, options.minutes * 60, say),
    HOSTS: lambda options, place: hosts.hosts(place, options.seed, say),
}


def _told(options: argparse.Namespace, facts: dict[str, Any], violations: list[str], around: dict[str, Any]) -> int:
    for line in report.text(facts, violations):
        say(line)
    written = options.data / f"{options.mode}.json"
    report.write(written, facts, violations, around)
    if options.keep:
        report.keep(options.mode, _again(options), facts, violations, around)
    say(coloured(report.verdict(violations, facts["pipelines"]), "red" if violations else "green"))
    say(f"Figures: {written}. Again: {_again(options)}")
    return 1 if violations else 0


def _again(options: argparse.Namespace) -> str:
    """The command that runs the same once more."""
    more = [f"--{options.mode}"] if options.mode != STORM else []
    more += [f"--broker {options.broker}"] if options.broker != "redis" else []
    minutes = f" MINUTES={options.minutes:g}" if options.minutes else ""
    return f"make chaos SEED={options.seed}{minutes}" + (f' ARGS="{" ".join(more)}"' if more else "")


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Command line; see the module."""
    options = arguments()
    for number in ENDING:
        signal.signal(number, _end)
    try:
        return chaos(options)
    except (LocalError, PortTakenError) as error:
        complain(str(error))
        return 2
    except KeyboardInterrupt:
        complain("Ended before its time.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
