"""Chores: functions to be called at intervals, by whichever process sweeps: `PIPELINE["CHORES"]`.

A chore is `def name() -> None`, idempotent, named by its dotted path. However many processes sweep, one of them
calls it each interval, in a thread of the chore's own: one that hangs holds up neither the sweep nor another chore.
"""

import logging
import threading
from datetime import datetime, timedelta
from typing import Final

from django.db import InterfaceError, OperationalError, connection
from django.utils.module_loading import import_string

from pipeline.conf import conf
from pipeline.db import Statement

log = logging.getLogger(__name__)

# When nothing is due, and when the database is away: short enough for rows and settings that were changed meanwhile.
_LOOK_EVERY: Final = timedelta(seconds=30)
_TYPES: Final = {"text": "name error", "interval": "every", "timestamptz": "began_at"}

# One process per interval: of those that come at once, the first writes the next due time and the others find it.
# The due time may be from before the interval was made shorter, so that it counts from the last call as well.
_TAKE: Final = Statement(
    """
INSERT INTO pipeline_chore AS c (name, began_at, due_at, error) VALUES (%(name)s, now(), now() + %(every)s, '')
ON CONFLICT (name) DO UPDATE SET began_at = now(), due_at = now() + %(every)s
WHERE LEAST(c.due_at, c.began_at + %(every)s) <= now()
RETURNING began_at""",
    _TYPES,
)

# Only of the latest call: one that took longer than the interval has been overtaken.
_ENDED: Final = Statement(
    """
UPDATE pipeline_chore SET ended_at = now(), error = %(error)s WHERE name = %(name)s AND began_at = %(began_at)s""",
    _TYPES,
)

_LEFT: Final = Statement("SELECT due_at - now() AS due_in FROM pipeline_chore WHERE name = %(name)s", _TYPES)


def run_if_due(name: str, every: timedelta) -> bool:
    """Call the chore if its time has come and nobody else has taken it; whether it was called.

    What it raises is logged and recorded, and it is called again at its next time. Raises the database's errors.
    """
    taken = _TAKE.row({"name": name, "every": every})
    if taken is None:
        return False
    _call(name, taken["began_at"])
    return True


def start(over: threading.Event) -> list[threading.Thread]:
    """Begin to look after the chores, a thread for each, until `over` is set. They end with the process."""
    threads = [
        threading.Thread(target=_look_after, args=(name, every, over), name=name, daemon=True)
        for name, every in conf().CHORES.items()
    ]
    for thread in threads:
        thread.start()
    return threads


def _call(name: str, began_at: datetime) -> None:
    error = ""
    try:
        import_string(name)()
    except Exception as raised:  # whatever it is, the chore is called again
        log.exception("chore %s failed; it is called again at its next time", name)
        error = f"{type(raised).__name__}: {raised}"[:500]
        connection.close()  # it may be what broke
    _ENDED.count({"name": name, "began_at": began_at, "error": error})


def _look_after(name: str, every: timedelta, over: threading.Event) -> None:
    while not over.is_set():
        over.wait(_turn(name, every).total_seconds())


def _turn(name: str, every: timedelta) -> timedelta:
    """Call the chore if it is due; how long to wait before looking again."""
    try:
        run_if_due(name, every)
        left = _LEFT.row({"name": name})
    except (InterfaceError, OperationalError) as error:
        log.warning("chore %s: the database is away (%s); trying again", name, type(error).__name__)
        return _LOOK_EVERY
    finally:
        connection.close()
    return min(left["due_in"], _LOOK_EVERY) if left else timedelta(0)
