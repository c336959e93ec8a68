"""Quantiles of any number of values in a fixed number of counts.

A value lies in the bucket (g^(i-1), g^i] with g = (1 + ERROR) / (1 - ERROR) and is read as
2 g^i / (g + 1): no further than ERROR from what it was (DDSketch; Masson, Rim and Lee, VLDB 2019,
section 2.1). Sums of sketches are sketches of all of their values.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, exp, log

ERROR = 0.005  # relative, of every quantile
LEAST, MOST = 1e-6, 1e6  # seconds; what lies outside is counted at the edge
_WIDTH = log((1 + ERROR) / (1 - ERROR))
_FIRST = ceil(log(LEAST) / _WIDTH)
_BUCKETS = ceil(log(MOST) / _WIDTH) - _FIRST + 1


class Spread:
    __slots__ = ("_counts", "count", "total")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.total = 0.0  # the sum of the values, exactly

    def add(self, value: float) -> None:
        place = ceil(log(value) / _WIDTH) - _FIRST if value > LEAST else 0
        self._counts[min(place, _BUCKETS - 1)] += 1
        self.count += 1
        self.total += value

    def __add__(self, other: Spread) -> Spread:
        both = Spread()
        both._counts = [a + b for a, b in zip(self._counts, other._counts, strict=True)]
        both.count, both.total = self.count + other.count, self.total + other.total
        return both

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """The value that `share` of all values do not exceed; None of none."""
        rank = share * (self.count - 1)
        return next((value for value, below in self._rising() if below > rank), None)

    def curve(self) -> Iterator[tuple[float, float]]:
        """(value, share of the values up to it), for each bucket that has some."""
        return ((value, below / self.count) for value, below in self._rising())

    def _rising(self) -> Iterator[tuple[float, int]]:
        below = 0
        for place, count in enumerate(self._counts):
            if count:
                below += count
                yield 2 * exp(_WIDTH * (place + _FIRST)) / (exp(_WIDTH) + 1), below
