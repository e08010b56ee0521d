"""Deaths and failures at named places of the executor (pipeline/crashpoints.py tells which)."""

import time
from collections.abc import Callable

from django.db import OperationalError, connection

from pipeline import crashpoints
from pipeline.owner_session import LOCK_CLASS
from pipeline.ownership import owner


class Killed(BaseException):
    """This worker was killed with -9: no handler of the engine's may do anything about it."""


class InjectedFailure(Exception):
    """An ordinary exception at a place of the executor's own code."""


class LostAcknowledgement(OperationalError):
    """PostgreSQL has committed, and its answer was lost with the connection."""


def crash_at(place: str, *, times: int = 1) -> None:
    """Die at `STEP.VERB.POINT` the next so many times: the lock is gone, nothing more is written."""
    _arm(place, times, die)


def fail_at(place: str, *, times: int = 1) -> None:
    """Raise InjectedFailure there."""
    _arm(place, times, _fail)


def pause_at(place: str, act: Callable[[], None], *, times: int = 1) -> None:
    """Do something else there first, as if this process had been stopped meanwhile."""
    _arm(place, times, act)


def disarm() -> None:
    """Take the armed place off."""
    crashpoints.arm(None)


def die() -> None:
    """Lose the owner's lock as a killed process does, and unwind as nothing that is caught on the way."""
    acting = owner()
    dead = acting.held()
    acting.renounce()
    if dead:
        wait_until_freed(dead)
    raise Killed


def wait_until_freed(owner_id: int, seconds: float = 5.0) -> None:
    """PostgreSQL ends a closed session within milliseconds; AssertionError if this one stays."""
    until = time.monotonic() + seconds
    while _is_locked(owner_id):
        if time.monotonic() > until:
            raise AssertionError(f"the lock of owner {owner_id} is still held after {seconds} s")
        time.sleep(0.002)


def _is_locked(owner_id: int) -> bool:
    # In a session of the test's own: the one at hand may be in a transaction that is being undone.
    session = connection.copy()
    try:
        with session.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
                [LOCK_CLASS, owner_id],
            )
            return bool(cursor.fetchone()[0])
    finally:
        session.close()


def _arm(place: str, times: int, act: Callable[[], None]) -> None:
    left = times

    def hook(reached: str) -> None:
        nonlocal left
        if reached == place and left > 0:
            left -= 1
            act()

    crashpoints.arm(hook)


def _fail() -> None:
    raise InjectedFailure("armed by a test")
