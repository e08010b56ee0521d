"""Records every message that is published and every task that begins; stops or kills at named places.

Loaded by web, workers and sweeps. CHAOS_FOLDER holds `messages`, one line for each, and `orders/POINT`, whose
content is `kill` or `stop`: the process that gets to the point first removes the file and obeys.
"""

import json
import os
import signal
from pathlib import Path
from typing import Any

from celery.signals import after_task_publish, task_prerun
from django.apps import AppConfig

from pipeline import crashpoints

STARTED, PUBLISHED = "started", "published"


class ArmedConfig(AppConfig):
    """No models, no urls: hooks alone."""

    name = "tests.chaos.armed"

    def ready(self) -> None:
        """Arm this process."""
        after_task_publish.connect(_published, weak=False)
        task_prerun.connect(_started, weak=False)
        crashpoints.arm(_obey)


def _folder() -> Path:
    return Path(os.environ["CHAOS_FOLDER"])


def _published(headers: dict[str, Any], body: Any, **_: Any) -> None:
    _write([PUBLISHED, headers["id"], headers["task"], body[0], os.getpid(), str([headers, body])])


def _started(task_id: str, task: Any, args: Any, **_: Any) -> None:
    _write([STARTED, task_id, task.name, list(args), os.getpid()])


def _write(line: list[Any]) -> None:
    """One appending write, so that lines of two processes never mix."""
    file = os.open(_folder() / "messages", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)


def _obey(point: str) -> None:
    order = _folder() / "orders" / point
    if not order.exists():
        return
    taken = order.with_suffix(f"{order.suffix}-{os.getpid()}")
    try:
        order.rename(taken)
    except FileNotFoundError:  # another process was first
        return
    action = taken.read_text()
    taken.rename(_folder() / "obeyed" / f"{point}-{action}-{os.getpid()}")
    os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
