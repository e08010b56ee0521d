"""Everything on this machine: ``python -m config.local.demo [--once] [--port N] [--data DIR] …``.

Exit status 0 when it was ended by Ctrl-C or a signal, or when with ``--once`` all samples ended as
they should and the sandbox's ledger agrees; 1 when not; 2 when it could not start.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType

from config.local.example_samples import EXAMPLES, run_example
from config.local.folder import DataFolder, LocalError, write_privately
from config.local.ports import PortTakenError, listen
from config.local.samples import SAMPLES, Result, SampleError, run_sample
from config.local.services import Services, end_leftovers
from config.local.stack import ROOT, Stack
from config.local.supervisor import Supervisor
from config.local.terminal import coloured, complain, say
from config.local.verdict import violations

DEFAULT_PORT = 8000
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class EndedError(BaseException):
    """A signal asked the demo to end."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make demo", description="Everything running on this machine.")
    parser.add_argument("--once", action="store_true", help="end after the samples, with status 0 if all agreed")
    parser.add_argument("--all", action="store_true", help="one commit and one rollback of each workflow")
    parser.add_argument("--port", type=_port, metavar="N", help="the web port (default 8000, or the next free one)")
    parser.add_argument("--data", type=Path, default=ROOT / ".data", metavar="DIR", help="data folder (.data/)")
    parser.add_argument("--no-samples", action="store_true", help="submit nothing")
    options = parser.parse_args()
    if options.once and options.no_samples:
        parser.error("--once ends after the samples: leave out --no-samples")
    return options


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 1 to 65535")
    return int(text)


@contextmanager
def running(options: argparse.Namespace, folder: DataFolder) -> Iterator[Stack]:
    """The whole stack, from start to end."""
    if ended := end_leftovers(folder):
        say(f"Ended {ended} processes that an earlier run left behind.")
    folder.demo_json.unlink(missing_ok=True)
    with listen(options.port, DEFAULT_PORT) as listening:
        folder.tell(what="demo", pid=os.getpid(), web=f"http://127.0.0.1:{listening.getsockname()[1]}")
        services = Services.of(folder, durable=True, say=say)
        stack = Stack(folder, listening, say, Supervisor(say=say), services)
        try:
            stack.start()
            yield stack
        finally:
            _end(stack)


def _end(stack: Stack) -> None:
    """Stop everything. A second signal meanwhile is not needed: the whole takes a few seconds."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    say("Stopping everything …")
    stack.folder.demo_json.unlink(missing_ok=True)
    stack.stop()
    stack.folder.demo_json.unlink(missing_ok=True)  # a restart may have written it once more


def write_demo_json(stack: Stack) -> None:
    """Tell scripts where everything is; whole, by rename."""
    facts = {
        "web": stack.web,
        "sandbox": stack.sandbox,
        "database_url": stack.services.postgres.url(),
        "broker_url": stack.services.redis.url(),
        "admin": stack.admin(),
        "processes": stack.supervisor.pids(),
    }
    write_privately(stack.folder.demo_json, json.dumps(facts, indent=2) + "\n")


def run_samples(stack: Stack, *, examples: bool) -> tuple[list[Result], list[str]]:
    """Submit the samples; what became of them, and everything that is not as it should be."""
    results: list[Result] = []
    wrong: list[str] = []
    began = datetime.now(UTC)
    runs = [(sample.title, partial(run_sample, stack.web, sample, say)) for sample in SAMPLES]
    if examples:
        runs += [(sample.title, partial(run_example, stack.web, sample, say)) for sample in EXAMPLES]
    for title, run in runs:
        say()
        try:
            results.append(run())
        except SampleError as error:
            wrong.append(f"{title}: {error}")
        else:
            if not results[-1].is_right:
                wrong.append(f"{title} is {results[-1].pipeline['state']}, not {results[-1].sample.ends}")
    wrong += violations(stack.env, since=began)
    say()
    for difference in wrong:
        complain(coloured(f"Not as it should be: {difference}", "red"))
    if not wrong:
        all_of_them = "Both" if len(results) == 2 else f"All {len(results)}"
        say(coloured(f"{all_of_them} ended as they should, and the sandbox's ledger agrees.", "green"))
    return results, wrong


def show_addresses(stack: Stack, results: list[Result]) -> None:
    """Where everything is."""
    admin = stack.admin()
    rows = [
        ("Post a job", f"{stack.web}/post/"),
        ("The board", f"{stack.web}/"),
        *((f"Progress ({result.pipeline['state']})", result.pipeline["links"]["page"]) for result in results),
        ("Admin", f"{stack.web}/admin/   {admin['username']} / {admin['password']}"),
        ("API docs", f"{stack.web}/api/docs/"),
        ("Sandbox's ledger", f"{stack.sandbox}/_sandbox/ledger"),
        ("Logs", f"{stack.folder.logs}/"),
        ("For scripts", f"{stack.folder.demo_json}"),
    ]
    say()
    for label, where in rows:
        say(f"  {label:<24} {where}")
    say()


def demo(options: argparse.Namespace) -> int:
    """Start, show, serve; the exit status."""
    folder = DataFolder(options.data)
    with folder.claimed("demo"), running(options, folder) as stack:
        results, wrong = ([], []) if options.no_samples else run_samples(stack, examples=options.all)
        if options.once:
            return 1 if wrong else 0
        stack.supervisor.changed = lambda: write_demo_json(stack)
        write_demo_json(stack)
        show_addresses(stack, results)
        say("Running until Ctrl-C.")
        with suppress(EndedError):
            while True:
                signal.pause()
    return 0


def _raise_ended(_number: int, _frame: FrameType | None) -> None:
    raise EndedError


def main() -> int:
    """Command line; see the module."""
    options = arguments()
    for number in ENDING:
        signal.signal(number, _raise_ended)
    try:
        return demo(options)
    except (LocalError, PortTakenError) as error:
        complain(str(error))
        return 2
    except EndedError:
        complain("Ended before it was up.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
