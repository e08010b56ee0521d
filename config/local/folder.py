"""The data folder: who uses it, the secrets it keeps, where things lie in it."""

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class LocalError(Exception):
    """Something the person at the terminal can mend; the message says how. Ends with exit status 2."""


class FolderInUseError(LocalError):
    """Another runner holds this data folder."""


class DataFolder:
    """A folder that one runner at a time may use; made when missing."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.logs = self.path / "logs"
        self.demo_json = self.path / "demo.json"
        self._claim = self.path / "in-use.json"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
        except OSError as error:
            raise LocalError(
                f"The data folder {self.path} cannot be used: {error}. Name another with --data."
            ) from None
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise LocalError(f"The data folder {self.path} is not writable for you. Name another with --data.")

    @contextmanager
    def claimed(self, what: str) -> Iterator[None]:
        """Hold the folder; FolderInUseError names the holder. The kernel lets go when the holder dies."""
        try:
            held = self._claim.open("a+")
        except OSError as error:
            raise LocalError(f"{error}: it belongs to another user. Name another folder with --data.") from None
        with held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FolderInUseError(self._in_use()) from None
            self.tell(what=what, pid=os.getpid())
            try:
                yield
            finally:
                self._claim.write_text("")

    def tell(self, **facts: Any) -> None:
        """Write who holds the folder, for the next one who comes."""
        self._claim.write_text(json.dumps(facts))

    def _in_use(self) -> str:
        try:
            holder = json.loads(self._claim.read_text())
        except (OSError, ValueError):
            holder = {}
        what, pid, web = holder.get("what", "run"), holder.get("pid"), holder.get("web")
        who = f", process {pid}" if pid else ""
        where = f", at {web}" if web else ", just starting or stopping" if what == "demo" else ""
        stop = f"Stop it (kill {pid})" if pid else "Wait for it"
        return f"A {what} already uses {self.path}{who}{where}. {stop} or name another folder with --data."

    def secrets(self) -> dict[str, str]:
        """The folder's own passwords and keys, made on first use and kept readable for its owner alone."""
        path = self.path / "secrets.json"
        try:
            kept: dict[str, str] = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            kept = {}
        missing = {name: value for name, value in _new_secrets().items() if name not in kept}
        if missing:
            kept |= missing
            write_privately(path, json.dumps(kept))
        return kept


def _new_secrets() -> dict[str, str]:
    return {
        "admin_password": secrets.token_urlsafe(12),
        "pipeline_secret_key": base64.urlsafe_b64encode(os.urandom(32)).decode(),  # a Fernet key
        "redis_password": secrets.token_hex(16),
        "secret_key": secrets.token_urlsafe(48),
    }


def write_privately(path: Path, text: str) -> None:
    """Write a file whole, by rename, that only its owner can read."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
