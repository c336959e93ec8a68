"""Lengths, counts and sizes that a workload draws, each written as one short text:

    128                  always 128              64-256      any whole number from 64 to 256
    1:0.66,3:0.34        by weight               448x448:0.7,1280x720:0.3
    lognormal:560,1148   squares whose sides have this median and 95th percentile, in pixels

Dice are handed in: this folder has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import exp, inf, log
from typing import Protocol, TypeAlias, TypeVar

T = TypeVar("T")
Size: TypeAlias = tuple[int, int]  # width, height in pixels

SIDE = 4096  # pixels; no side is longer, whatever is drawn
_P95 = 1.6448536269514722  # of the standard normal distribution


class Dice(Protocol):
    """What we use of a random.Random."""

    def random(self) -> float: ...

    def randint(self, a: int, b: int, /) -> int: ...

    def normalvariate(self, mu: float, sigma: float, /) -> float: ...

    def gammavariate(self, alpha: float, beta: float, /) -> float: ...

    def sample(self, population: Sequence[T], k: int, /) -> list[T]: ...

    def choices(self, population: Sequence[T], weights: Sequence[float], /) -> list[T]: ...


Draw: TypeAlias = Callable[[Dice], T]


class BadDraw(ValueError):
    """One sentence."""


def lengths(text: str) -> Draw[int]:
    """Tokens: `128` or `64-256`."""
    found = re.fullmatch(r"([1-9]\d*)(?:-([1-9]\d*))?", text)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if low > high:
        raise BadDraw(f"expected a length like 128 or 64-256, got {text}")
    return lambda dice: dice.randint(low, high)


def counts(text: str) -> Draw[int]:
    """Images of a request that has some: `1` or `1:0.66,3:0.34`."""
    return _weighted(text, r"[1-9]\d*", int, "counts like 1 or 1:0.66,3:0.34")


def sizes(text: str) -> Draw[Size]:
    """`448x448`, several by weight, or `lognormal:MEDIAN,P95`."""
    found = re.fullmatch(r"lognormal:(\d+),(\d+)", text)
    if found is None:
        expected = "sizes like 448x448, 448x448:0.7,1280x720:0.3 or lognormal:560,1148"
        return _weighted(text, r"[1-9]\d{0,3}x[1-9]\d{0,3}", _size, expected)
    median, p95 = int(found[1]), int(found[2])
    if not 0 < median < p95:
        raise BadDraw(f"expected a 95th percentile above a median above 0, got {text}")
    return squares(log(median), log(p95 / median) / _P95)


def squares(mu: float, sigma: float) -> Draw[Size]:
    """Sides whose logarithm is normal."""

    def draw(dice: Dice) -> Size:
        side = max(1, min(SIDE, round(exp(dice.normalvariate(mu, sigma)))))
        return side, side

    return draw


def _weighted(text: str, pattern: str, read: Callable[[str], T], expected: str) -> Draw[T]:
    values: list[T] = []
    weights: list[float] = []
    for part in text.split(","):
        found = re.fullmatch(rf"({pattern})(?::(\d*\.?\d+))?", part)
        if found is None:
            raise BadDraw(f"expected {expected}, got {text}")
        values.append(read(found[1]))
        weights.append(float(found[2] or 1))
    if not 0 < sum(weights) < inf:
        raise BadDraw(f"expected weights above 0, got {text}")
    return lambda dice: dice.choices(values, weights)[0]


def _size(text: str) -> Size:
    width, _, height = text.partition("x")
    return int(width), int(height)
