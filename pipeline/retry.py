"""When to try again: a frozen value and a pure function."""

from dataclasses import dataclass
from datetime import timedelta


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
