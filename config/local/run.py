"""Run a command with a real PostgreSQL and Redis: ``python -m config.local.run -- COMMAND``.

The servers live in a data folder that is kept between runs (Redis is emptied). What the
environment already names (DATABASE_URL, BROKER_URL) is used instead. Ends with the command's
exit status, 128 + N when signal N ended it, 2 when the servers could not be started.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from config.local import processes
from config.local.folder import DataFolder, FolderInUseError, LocalError
from config.local.services import Services, end_leftovers
from config.local.terminal import complain

ROOT = Path(__file__).resolve().parents[2]
PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
PLACES = 20  # data folders tried before giving up: as many runs at once


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m config.local.run", description=__doc__)
    parser.add_argument("--data", type=Path, help="data folder (default .data/test, or the next one not in use)")
    parser.add_argument("--fast", action="store_true", help="without fsync: for tests, which never stop the machine")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="what to run, after --")
    return parser.parse_args()


@contextmanager
def claimed_folder(wanted: Path | None) -> Iterator[DataFolder]:
    """The data folder asked for, or the first of the default ones that nobody uses."""
    if wanted is not None:
        folder = DataFolder(wanted)
        with folder.claimed("run"):
            yield folder
        return
    default = ROOT / ".data" / "test"
    with ExitStack() as held:
        for number in range(1, PLACES + 1):
            folder = DataFolder(default if number == 1 else default.with_name(f"test-{number}"))
            try:
                held.enter_context(folder.claimed("run"))
            except FolderInUseError:
                continue
            yield folder
            return
        raise LocalError(f"All of {PLACES} data folders {default}… are in use: name another with --data.")


def run(command: list[str], environment: dict[str, str]) -> int:
    """Run it in the terminal's own group, so that Ctrl-C reaches it as without this runner."""
    child: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if child is not None:
            child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    # The terminal sends Ctrl-C to both: the command decides when it ends.
    before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        dies = processes.dies_with_parent(signal.SIGTERM)
        child = subprocess.Popen(command, env=environment, preexec_fn=dies)  # noqa: PLW1509  # one system call
        status = child.wait()
    except OSError as error:
        raise LocalError(f"{command[0]} cannot be run: {error.strerror}.") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def with_services(options: argparse.Namespace) -> int:
    """Start what the environment does not name, run the command, stop it again."""
    given = {name for name in ("DATABASE_URL", "BROKER_URL") if os.environ.get(name)}
    with claimed_folder(options.data) as folder:
        end_leftovers(folder)
        keys = folder.secrets()
        settings = {"SECRET_KEY": keys["secret_key"], "PIPELINE_SECRET_KEYS": keys["pipeline_secret_key"]}
        if len(given) == 2:
            return run(options.command, processes.environment(folder.path, settings | dict(os.environ)))
        services = Services.of(folder, durable=not options.fast, say=complain)
        with services.running():
            services.redis.flush()
            settings |= services.environment() | dict(os.environ)
            if "DATABASE_URL" not in given:
                settings["DATABASE_OWNER_URL"] = ""  # owners' locks belong to the database that is used
            return run(options.command, processes.environment(folder.path, settings))


def main() -> int:
    """Command line; see the module."""
    options = arguments()
    for number in PASSED_ON:  # until the command runs, these unwind like Ctrl-C and stop the servers
        signal.signal(number, _interrupt)
    try:
        return with_services(options)
    except LocalError as error:
        complain(str(error))
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
