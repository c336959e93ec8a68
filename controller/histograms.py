"""Values counted into buckets: plain numbers, from which others draw quantiles and expositions."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

SECONDS = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2),
    *(0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0),
    600.0,  # the longest that a request may take
)
TOKENS = (
    *(1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5),
    2e5,
)


class Histogram:
    """`counts[i]` are the values above `bounds[i - 1]` and up to `bounds[i]`; the last count is of
    those above all bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def told(self) -> dict[str, Any]:
        return {"counts": self.counts, "sum": round(self.total, 6)}
