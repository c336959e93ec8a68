"""Workloads of any length: arrivals one at a time, and nothing is kept of those that went by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice, repeat
from math import inf, isinf

from .arrivals import Arrival
from .draws import Dice


def endless(*, rate: float, burstiness: float, dice: Dice) -> Iterator[float]:
    """Seconds at which requests come, `rate` a second on average, in order and without end.

    Gaps are gamma distributed with shape `burstiness`, as in `arrivals.times`; nothing is
    stretched, so a short stretch of it has another rate than asked for, as real ones do.
    """
    if isinf(rate):
        yield from repeat(0.0)
    at_s, mean_s = 0.0, 1 / rate
    while True:
        at_s += mean_s if isinf(burstiness) else dice.gammavariate(burstiness, mean_s / burstiness)
        yield at_s


def window(arrivals: Iterable[Arrival], from_s: float, to_s: float = inf) -> Iterator[Arrival]:
    """Those that come within [from_s, to_s); time begins anew at `from_s`."""
    for one in arrivals:
        if one.at_s >= to_s:
            return
        if one.at_s >= from_s:
            yield replace(one, at_s=one.at_s - from_s) if from_s else one


def scaled(arrivals: Iterable[Arrival], factor: float) -> Iterator[Arrival]:
    """`factor` times as many a second: the same requests, closer together."""
    for one in arrivals:
        yield replace(one, at_s=one.at_s / factor)


def cycled(begin: Callable[[], Iterable[Arrival]], count: int) -> Iterator[Arrival]:
    """`count` arrivals: those of `begin()`, which begins again a mean gap behind its end."""
    told, since_s = 0, 0.0
    while told < count:
        last_s, before = 0.0, told
        for one in islice(begin(), count - told):
            yield replace(one, at_s=since_s + one.at_s) if since_s else one
            told, last_s = told + 1, one.at_s
        if told == before:
            return
        since_s += last_s + last_s / max(1, told - before - 1)
