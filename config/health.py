"""For load balancers: is the process alive, and can it accept. What is down is named; nothing secret is."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from datetime import timedelta
from typing import Final

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from config.celery import app as celery
from pipeline import circuit
from pipeline.providers import budget
from postings.providers import mail, storage, stripe

PATIENCE: Final = 2.0  # seconds for all checks together: a balancer asks every few seconds
FRESH_FOR: Final = 10.0  # seconds for which a provider's state is told again without asking it

UP, DOWN, UNKNOWN, READ_ONLY = "up", "down", "unknown", "read-only"


@require_safe
async def healthz(request: HttpRequest) -> HttpResponse:
    """200: the process answers, also while all its threads are busy."""
    return _uncached(JsonResponse({"status": "alive"}))


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200, or 503 when submissions cannot be accepted: only the database stops that."""
    outside = _outside.states()
    database = _database()
    ready = database == UP
    circuits = {row.provider: circuit.told(row) for row in circuit.open_circuits()} if ready else {}
    body: dict[str, object] = {
        "status": "ready" if ready else "not ready",
        "database": database,
        "broker": outside.pop("broker"),
        "providers": outside,
    }
    if circuits:  # their jobs wait; submissions are accepted all the same
        body["circuits"] = circuits
    response = JsonResponse(body, status=200 if ready else 503)
    if not ready:
        response["Retry-After"] = "2"
    return _uncached(response)


class Outside:
    """The states of what lies outside, asked in threads and remembered for a while."""

    def __init__(self, checks: Mapping[str, Callable[[], bool]]) -> None:
        self._checks = checks
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, str]] = {}

    def states(self) -> dict[str, str]:
        """`up`, `down`, or `unknown` for one that takes too long to tell."""
        with self._lock:  # one round of questions, however many balancers ask
            now = time.monotonic()
            stale = [name for name in self._checks if now - self._known.get(name, (-FRESH_FOR, ""))[0] >= FRESH_FOR]
            if stale:
                self._ask(stale, now)
            return {name: self._known[name][1] for name in self._checks}

    def _ask(self, names: list[str], now: float) -> None:
        threads = ThreadPoolExecutor(len(names), "readyz")
        asked = {name: threads.submit(_asked, self._checks[name]) for name in names}
        for name, answer in asked.items():
            try:
                state = answer.result(max(0.0, now + PATIENCE - time.monotonic()))
            except NotYet:
                state = UNKNOWN
            self._known[name] = (now, state)
        threads.shutdown(wait=False)


def _asked(check: Callable[[], bool]) -> str:
    try:
        with budget.at_most(timedelta(seconds=PATIENCE)):
            return UP if check() else DOWN
    except Exception:  # noqa: BLE001 - SDKs, settings, sockets: whatever it is, it is not up
        return DOWN


def _is_broker_up() -> bool:
    with celery.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, timeout=2)
    return True


def _database() -> str:
    """Whether it can be written to: a replica, or a server in a failover, accepts no submissions."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_read_only")
            return UP if cursor.fetchone() == ("off",) else READ_ONLY
    except (DatabaseError, InterfaceError):
        connection.close()
        return DOWN


def _uncached(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response


_outside = Outside(
    {
        "broker": _is_broker_up,
        "stripe": stripe.is_reachable,
        "sendgrid": mail.is_reachable,
        "storage": storage.is_reachable,
    }
)
