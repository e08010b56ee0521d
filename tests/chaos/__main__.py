"""`make chaos`: status 0 if nothing was lost or doubled and every fault fired, 1 if not, 2 if it cannot run."""

import argparse
import os
import random
import signal
import sys
import time
from types import FrameType

from config.local.folder import LocalError
from config.local.ports import PortTakenError
from config.local.stack import QUEUES
from config.local.terminal import coloured, complain, say
from tests.chaos import killing, rabbitmq, report
from tests.chaos.place import DATA, WORKERS, Place, running
from tests.chaos.rabbitmq import RabbitPlace
from tests.chaos.schedule import RABBITMQ, REDIS
from tests.chaos.storm import storm

ENDING = (signal.SIGTERM, signal.SIGHUP)


def arguments() -> argparse.Namespace:
    """The command line; MINUTES and SEED come from make."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES") or 3))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or random.randrange(10**6)))
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--kills", action="store_true", help="worker trees killed every 4 s, and nothing else")
    parser.add_argument("--broker", choices=("redis", "redis-memory", "rabbitmq"), default="redis")
    return parser.parse_args()


def chaos(options: argparse.Namespace) -> int:
    """Run, report, and say how to run it again."""
    began = time.monotonic()
    workers = dict.fromkeys(killing.WORKERS, QUEUES) if options.kills else WORKERS
    on_rabbit = options.broker == "rabbitmq"
    if on_rabbit and rabbitmq.program() is None:
        say("Skipped: rabbitmq-server is not installed here. On Debian: apt-get install rabbitmq-server.")
        return 0
    kind = RabbitPlace if on_rabbit else Place
    with running(say, durable_broker=options.broker == "redis", workers=workers, kind=kind) as place:
        around = report.surroundings(place)
        if options.kills:
            facts, violations = killing.killing(place, options.seed, say)
        else:
            broker = RABBITMQ if on_rabbit else REDIS
            facts, violations = storm(place, options.seed, options.minutes, say, broker=broker)
    how = " ".join(sys.argv[1:])
    facts = {"seed": options.seed, "minutes": options.minutes, "broker": options.broker} | facts
    facts["took"] = f"{time.monotonic() - began:.0f} s"
    for line in report.text(facts, violations):
        say(line)
    written = DATA / ("kills.json" if options.kills else "last.json")
    report.write(written, facts, violations, around)
    say(coloured(report.verdict(violations, facts["pipelines"]), "red" if violations else "green"))
    again = f"make chaos SEED={options.seed} MINUTES={options.minutes:g}" + (f' ARGS="{how}"' if how else "")
    say(f"Figures: {written}. Again: {again}")
    return 1 if violations else 0


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
