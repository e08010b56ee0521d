"""Make and keep the virtual environment, by a bare Python 3.11 with nothing installed.

Run by the Makefile as a file, not as a module, because the package ``config`` needs Celery.
The environment is stamped with the digests of the locks it holds: nothing is done while they
match; a changed lock is installed over the old one, and what no lock names any longer is removed.
A mark set before pip and removed after it tells an interrupted installation, which is made anew.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCKS = {"runtime": Path("requirements.lock"), "tests": Path("tests/requirements.lock")}
# What each set holds besides its own: tests/requirements.lock is compiled on top of the runtime's.
COVERS = {"runtime": ("runtime",), "tests": ("runtime", "tests")}
# Seconds a first installation takes on two cores from a warm cache, for the line that is printed.
TYPICAL_SECONDS = {"runtime": 30, "tests": 60}
PROGRESS_EVERY = 20
TAIL_LINES = 25


class InstallError(Exception):
    """The environment could not be made; the message says what to do."""


def digest(lock: Path) -> str:
    """SHA-256 of a lock, the stamp of what was installed from it."""
    return hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()


def normal(name: str) -> str:
    """A distribution's name as PEP 503 spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names_in(lock: Path) -> list[str]:
    """Names of the packages a lock pins."""
    found = re.findall(r"^([A-Za-z0-9][\w.-]*)==", (ROOT / lock).read_text(), re.MULTILINE)
    return [normal(name) for name in found]


@contextmanager
def only_one_at_a_time() -> Iterator[None]:
    """Hold the repository's installation lock; a second ``make`` waits for the first."""
    with (ROOT / LOCKS["runtime"]).open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another make is installing into this environment: waiting for it …")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    """One plain line of progress."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Environment:
    """The virtual environment below ``folder`` and what is stamped on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.stamps = folder / "installed.json"
        self.unfinished = folder / "installing"

    def installed(self) -> dict[str, str]:
        """Digest of the lock for each installed set; empty for a new or damaged environment."""
        if self.unfinished.exists() or not self.runs():
            return {}
        try:
            stamps: dict[str, str] = json.loads(self.stamps.read_text())
        except (OSError, ValueError):
            return {}
        return stamps

    def runs(self) -> bool:
        """Whether its interpreter is there (a moved or removed Python leaves a dangling link)."""
        return self.python.exists() and os.access(self.python, os.X_OK)

    def create(self) -> None:
        """Make it from nothing with the Python that runs this file."""
        if self.unfinished.exists():
            say(f"An earlier installation was interrupted: making {self.folder.name} anew.")
        if self.folder.exists():
            shutil.rmtree(self.folder)
        version = ".".join(str(part) for part in sys.version_info[:3])
        say(f"Creating {self.folder.name} with Python {version} …")
        made = subprocess.run(
            [sys.executable, "-m", "venv", str(self.folder)], capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            said = (made.stdout + made.stderr).strip()
            raise InstallError(
                f"Python cannot create a virtual environment:\n{said}\n"
                "On Debian and Ubuntu: install the package python3-venv, then try again."
            )

    def install(self, lock: Path, *, about: int) -> None:
        """Install one lock with its hashes checked; raises InstallError with pip's last lines."""
        count = len(names_in(lock))
        say(f"Installing {count} packages (first run only, about {about} s) …")
        self.unfinished.touch()
        started = time.monotonic()
        log = self.folder / "install.log"
        if self._pip(lock, count, log) != 0:
            tail = "\n".join(log.read_text().splitlines()[-TAIL_LINES:])
            raise InstallError(
                f"{tail}\npip could not install {lock} (all it said: {log}).\n"
                "Check the connection to the package index, then run the same command again."
            )
        self.unfinished.unlink()
        say(f"Installed in {time.monotonic() - started:.0f} s.")

    def _pip(self, lock: Path, count: int, log: Path) -> int:
        command = [str(self.python), "-m", "pip", "install", "--require-hashes", "--no-deps"]
        command += ["--no-input", "--progress-bar=off", "--disable-pip-version-check"]
        command += ["-r", str(ROOT / lock)]
        collected = 0
        with (
            log.open("w") as kept,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip,
        ):
            assert pip.stdout is not None
            for line in pip.stdout:
                kept.write(line)
                kept.flush()
                collected += line.startswith(("Collecting ", "Requirement already satisfied"))
                if line.startswith("Collecting ") and collected % PROGRESS_EVERY == 0:
                    say(f"  {collected} of {count} collected")
                if line.startswith("Installing collected packages"):
                    say("  unpacking")
        return pip.wait()

    def remove_unnamed(self) -> None:
        """Uninstall what neither lock names: an older lock brought it."""
        named = {"pip", "setuptools"} | {name for lock in LOCKS.values() for name in names_in(lock)}
        found = self.folder.glob("lib/python3*/site-packages/*.dist-info")
        extra = sorted({normal(path.name.split("-")[0]) for path in found} - named)
        if extra:
            command = [str(self.python), "-m", "pip", "uninstall", "--yes", "--quiet", *extra]
            subprocess.run(command, check=True)

    def stamp(self, names: tuple[str, ...]) -> None:
        """Record, by rename, that these sets are installed."""
        stamps = self.installed() | {name: digest(LOCKS[name]) for name in names}
        fresh = self.stamps.with_suffix(".new")
        fresh.write_text(json.dumps(stamps))
        fresh.replace(self.stamps)


def ensure(environment: Environment, wanted: str) -> None:
    """Bring the environment to hold the wanted set, doing nothing when it does."""
    covered = COVERS[wanted]
    want = {name: digest(LOCKS[name]) for name in covered}
    if want.items() <= environment.installed().items():
        return
    with only_one_at_a_time():
        has = environment.installed()
        if want.items() <= has.items():
            return
        if not has:  # new, moved, or interrupted half-way
            environment.create()
        environment.install(LOCKS[wanted], about=TYPICAL_SECONDS[wanted])
        environment.remove_unnamed()
        environment.stamp(covered)


def main() -> int:
    """Command line: ``install.py runtime|tests``. Exit status 1 with a message on failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wanted", choices=sorted(LOCKS))
    try:
        ensure(Environment(ROOT / ".venv"), parser.parse_args().wanted)
    except InstallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted: the next make begins the installation anew.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
