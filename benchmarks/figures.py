"""Small statistics: medians, spreads and percentiles of measured values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure measured in several rounds."""

    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return number(self.middle)
        return f"{number(self.middle)} ({number(min(self.values))}-{number(max(self.values))})"


def spread(values: Sequence[float]) -> Spread:
    """The figure of these rounds; ValueError without any."""
    if not values:
        raise ValueError("A figure needs at least one round.")
    return Spread(tuple(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share (0 to 1) of them does not exceed (nearest rank)."""
    if not values or not 0 < share <= 1:
        raise ValueError("A percentile needs values and a share above 0, at most 1.")
    return sorted(values)[math.ceil(share * len(values)) - 1]


def number(value: float) -> str:
    """Three figures that count, without an exponent."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"
