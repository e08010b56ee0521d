"""The peers' own environments, made once in the data folder: nothing of theirs is mixed with the project's.

What cannot be installed here (no package index, no npm) is left out of the comparison with a word.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.workers import ROOT

FOLDER: Final = ROOT / ".data" / "bench" / "peers"
SECONDS: Final = 300.0  # an installation that takes longer has failed
_PIP: Final = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")


class LeftOutError(Exception):
    """The peer cannot be had, or does not run here; its text says which and why."""


def python(name: str, *packages: str) -> Path:
    """The interpreter of a virtual environment with these packages; LeftOutError."""
    folder = FOLDER / name
    interpreter = folder / "bin" / "python"
    if not _is_made(folder, packages):
        _run(name, [sys.executable, "-m", "venv", str(folder)])
        _run(name, [str(interpreter), *_PIP, *packages])
        _mark(folder, packages)
    return interpreter


def beside(name: str, *packages: str) -> Path:
    """A folder for PYTHONPATH with these packages, for the project's own interpreter; LeftOutError."""
    folder = FOLDER / name
    if not _is_made(folder, packages):
        _run(name, [sys.executable, *_PIP, "--target", str(folder), *packages])
        _mark(folder, packages)
    return folder


def node(name: str, *packages: str) -> Path:
    """A folder whose node_modules have these packages; LeftOutError."""
    folder = FOLDER / name
    if not _is_made(folder, packages):
        npm = shutil.which("npm")
        if npm is None:
            raise LeftOutError(f"{name} is left out: there is no npm here.")
        folder.mkdir(parents=True, exist_ok=True)
        _run(name, [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", *packages])
        _mark(folder, packages)
    return folder


def _is_made(folder: Path, packages: Sequence[str]) -> bool:
    """Whether it is there, whole, with these very packages; what is not goes."""
    mark = folder / "installed.txt"
    if mark.exists() and mark.read_text().split() == list(packages):
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def _mark(folder: Path, packages: Sequence[str]) -> None:
    (folder / "installed.txt").write_text("\n".join(packages))


def _run(name: str, command: list[str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS, cwd=FOLDER)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LeftOutError(f"{name} is left out: {command[0]}: {type(error).__name__}.") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise LeftOutError(f"{name} is left out: it could not be installed ({last}).")
