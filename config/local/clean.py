"""Remove what the recipes made: the environment, the data folder, the tools' caches.

Run by the Makefile as a file by a bare Python, so that it needs nothing it removes.
"""

import fcntl
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MADE = (
    ".data",
    ".venv",
    ".coverage",
    ".hypothesis",
    ".import_linter_cache",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "htmlcov",
)


def places_outside(data: Path) -> Iterator[Path]:
    """PostgreSQL's files outside the data folders, as these name them (runs as root only)."""
    for note in data.glob("**/postgres/elsewhere"):
        home = Path(note.read_text())
        if home.name.startswith("job-posting-pipeline-") and home.is_dir() and not home.is_symlink():
            yield home


def in_use(data: Path, held: ExitStack) -> Path | None:
    """The first data folder that a runner holds; the others are held by this process from now on."""
    for claim in data.glob("**/in-use.json"):
        file = held.enter_context(claim.open())
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return claim.parent
    return None


def remove(paths: list[Path]) -> None:
    """Remove files and folders that are there."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def clean(root: Path) -> int:
    """Remove everything below the root that was made; exit status 2 when some of it is in use."""
    with ExitStack() as held:
        if busy := in_use(root / ".data", held):
            sys.stderr.write(f"{busy} is in use: stop what runs there first.\n")
            return 2
        removed = [*places_outside(root / ".data"), *(root / name for name in MADE)]
        try:
            remove(removed)
        except OSError as error:
            sys.stderr.write(f"{error}: made by another user, who can remove it.\n")
            return 2
    for cache in list(root.glob("**/__pycache__")):
        shutil.rmtree(cache)
    return 0


if __name__ == "__main__":
    sys.exit(clean(ROOT))
