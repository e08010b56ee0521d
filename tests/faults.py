"""The sandbox's faults of requests, as several folders' tests let them strike: at once, or answered a day later."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.db.models import F

from pipeline.models import Pipeline
from pipeline.testing import advance

if TYPE_CHECKING:
    from tests.postings.conftest import Outside

# Those of every provider; Stripe's lock_timeout is its own, and latency makes nothing fail.
KINDS: Final = (
    "error_before",
    "error_after",
    "drop_before",
    "drop_after",
    "timeout_before",
    "timeout_after",
    "late",
    "truncate",
    "drip",
    "rate_limit",
    "conflict",
    "down",
)
# Those that the client has to give up on.
SLOW: Final = frozenset({"timeout_before", "timeout_after", "late", "drip", "drip_head"})
LEAVING_UNKNOWN: Final = ("timeout_before", "timeout_after", "late", "error_after")
A_DAY: Final = timedelta(hours=25)  # longer than providers remember a key


def leave_unknown(outside: "Outside", provider: str, route: str, kind: str) -> None:
    """One request; what is late arrives soon, because the test waits for it."""
    outside.fault(provider, route, kind, times=1, **({"seconds": 0.1} if kind == "late" else {}))


def has_arrived(outside: "Outside") -> bool:
    """An effect whose client had given up; a create has none in the ledger, but an intent."""
    unseen = any(not entry["client_saw_answer"] for entry in outside.sandbox.ledger())
    return unseen or bool(outside.sandbox.get("state")["open_intents"])


def a_day_later(outside: "Outside", kind: str, is_there: Callable[["Outside"], bool] = has_arrived) -> None:
    """The fault has struck, and what it held back is there. Staging's deadline is not what is tested here."""
    assert outside.fired() == 1, "the fault never struck: the test shows nothing"
    until = time.monotonic() + 5
    while kind == "late" and not is_there(outside):
        assert time.monotonic() < until, "the late request never arrived"
        time.sleep(0.01)
    Pipeline.objects.filter(state="staging").update(deadline_at=F("deadline_at") + 2 * A_DAY)
    outside.sandbox.post("clock", {"advance": A_DAY.total_seconds()})
    advance(A_DAY)
