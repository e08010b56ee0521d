"""When to try again: a frozen value and a pure function."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential growth from `first` by `factor` up to `cap`, jittered downwards by at most `jitter` of it."""

    first: timedelta
    factor: float
    cap: timedelta
    jitter: float = 0.25

    def delay(self, attempt: int, chance: float, retry_after: timedelta | None = None) -> timedelta:
        """The pause after the given failed attempt (from 1).

        `chance` is a random number in [0, 1); a provider's Retry-After is a floor, itself capped.
        """
        exponent = min(max(attempt, 1) - 1, 64)
        full = min(self.first.total_seconds() * self.factor**exponent, self.cap.total_seconds())
        seconds = full * (1 - self.jitter * chance)
        if retry_after is not None:
            seconds = max(seconds, min(retry_after, self.cap).total_seconds())
        return timedelta(seconds=seconds)


def retry_after(headers: Mapping[str, str] | None) -> timedelta | None:
    """The pause that an answer's headers ask for, in seconds or until a date (RFC 9110, 10.2.3); None without one."""
    given = next((value for name, value in (headers or {}).items() if name.lower() == "retry-after"), "")
    if given.isascii() and given.isdigit():
        return timedelta(seconds=min(int(given), 10**9))
    try:
        until = parsedate_to_datetime(given)
    except ValueError:
        return None
    return max(until.astimezone(UTC) - datetime.now(UTC), timedelta(0))
