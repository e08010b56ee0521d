"""What a Celery worker brings along: a sweep of its own, in a process of its own, and plans by index.

A process, because the worker's parent forks its pool: threads and connections there would be copied.
"""

import logging
import os
import subprocess
import sys
import threading
from typing import Any

from celery.signals import worker_init, worker_ready, worker_shutting_down

from pipeline.conf import conf
from pipeline.connection_checks import AWAY, check_connections
from pipeline.db import go_by_index

log = logging.getLogger(__name__)

_over = threading.Event()
_process: subprocess.Popen[bytes] | None = None


@worker_init.connect(weak=False)
def plan_for_large_tables(**_: Any) -> None:
    """Before the pool is forked, and before any thread of it connects."""
    go_by_index()


@worker_init.connect(weak=False)
def refuse_wrong_connections(**_: Any) -> None:
    """End at once where jobs could not be owned. A database that is away is waited for: owners ask again by then."""
    for message in check_connections(None, databases=["default"]):
        if message.id != AWAY:
            raise SystemExit(f"{message.id}: {message.msg} {message.hint}")
        log.warning("%s", message.msg)


@worker_ready.connect(weak=False)
def start_sweep(**_: Any) -> None:
    """Start the sweep and keep it going as long as this worker lives."""
    if conf().SWEEP_IN_WORKERS:
        threading.Thread(target=_keep_sweeping, name="sweep", daemon=True).start()


@worker_shutting_down.connect(weak=False)
def stop_sweep(**_: Any) -> None:
    """End it with the worker."""
    _over.set()
    if _process is not None:
        _process.terminate()


def _keep_sweeping() -> None:
    global _process
    while not _over.is_set():
        command = [sys.executable, "-m", "django", "sweep", "--parent", str(os.getpid())]
        _process = subprocess.Popen(command)
        status = _process.wait()
        if not _over.is_set():
            log.error("the sweep ended with status %s; starting it again", status)
            _over.wait(1)
