"""How sure a mean of a few repeats is.

Repeats are taken for independent draws whose means are about normal, so the interval is Student's:
mean ± t(0.975, n - 1) * s / sqrt(n). A quantile of few degrees of freedom stands in a table; of
more, it is the expansion of Abramowitz and Stegun, 26.7.5, which is right to four digits there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean, stdev

LEVEL = 0.95
_T = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the mean lies at a confidence of 95 %; of one value alone nothing is known."""

    mean: float
    half: float | None  # of its width
    values: Sequence[float]

    @property
    def low(self) -> float | None:
        return None if self.half is None else self.mean - self.half

    @property
    def high(self) -> float | None:
        return None if self.half is None else self.mean + self.half


def interval(values: Sequence[float]) -> Interval:
    """Raises StatisticsError for no values."""
    count = len(values)
    half = t_quantile(count - 1) * stdev(values) / sqrt(count) if count > 1 else None
    return Interval(fmean(values), half, values)


def t_quantile(freedom: int) -> float:
    """Student's t of 97.5 %, `freedom` degrees: 1 at least."""
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
