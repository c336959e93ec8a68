"""The highest rate that a cluster serves as promised.

Attainment falls as the rate grows, by and large, so the rate is doubled or halved until one that
holds lies next to one that does not, and the gap between the two is halved (in the logarithm) until
they are within the tolerance. Where attainment goes up and down on the way, one of the places where
it crosses the line is found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from .outcome import Outcome
from .scenario import Result, Watch

LEAST, MOST = 2.0**-12, 2.0**20  # of the workload's rate


class HoldsNowhere(Exception):
    """No rate that was tried served enough requests as promised; one sentence."""


class _Hopeless(Exception):
    """So many were late that the rest cannot make up for it."""


@dataclass(frozen=True, slots=True)
class Probe:
    scale: float
    holds: bool
    attainment: float  # where it does not hold: at most, the run was not ended


@dataclass(frozen=True, slots=True)
class Found:
    scale: float  # the highest that holds
    result: Result  # at that
    probes: list[Probe]


class Search:
    def __init__(
        self,
        run: Callable[[float, Watch], Result],
        requests: int,
        attainment: float,
        *,
        tolerance: float,
        told: Callable[[Probe], None] = lambda probe: None,
        watch: Watch = lambda outcome: None,
    ) -> None:
        """`run` at so many times the rate of a workload of `requests`, as `Scenario.run` does.
        `tolerance`: how far above the rate that holds, relatively, one may lie that does not.
        `told` of each rate that was tried, `watch` of each request."""
        self._run, self._requests, self._attainment = run, requests, attainment
        self._tolerance, self._told, self._watch = tolerance, told, watch
        self._probes: list[Probe] = []

    def highest(self, start: float = 1.0) -> Found:
        """Raises HoldsNowhere."""
        low, high = start, start
        best = self._try(start)
        while best is not None and high < MOST:
            high *= 2
            if (better := self._try(high)) is None:
                break
            low, best = high, better
        while best is None:
            low /= 2
            if low < LEAST:
                raise HoldsNowhere(self._nowhere())
            best = self._try(low)
            high = 2 * low
        while high > low * (1 + self._tolerance):
            middle = sqrt(low * high)
            if (better := self._try(middle)) is None:
                high = middle
            else:
                low, best = middle, better
        return Found(low, best, self._probes)

    def at(self, scale: float) -> Probe:
        """That one alone."""
        self._try(scale)
        return self._probes[-1]

    def _try(self, scale: float) -> Result | None:
        """None where it does not hold."""
        count = _Count(self._attainment, self._requests, self._watch)
        try:
            result = self._run(scale, count.watch)
        except _Hopeless:
            result = None
        probe = Probe(scale, result is not None, 1.0 - count.missed / self._requests)
        self._probes.append(probe)
        self._told(probe)
        return result

    def _nowhere(self) -> str:
        last = self._probes[-1]
        return (
            f"expected a rate at which {self._attainment:.1%} are served as promised, got less at "
            f"all down to {last.scale:.4g} of the workload's"
        )


class _Count:
    """Ends a run that cannot hold any more."""

    def __init__(self, attainment: float, requests: int, watch: Watch) -> None:
        self.missed = 0
        self._most = (1.0 - attainment) * requests + 1e-9 * requests
        self._watch = watch

    def watch(self, outcome: Outcome) -> None:
        self._watch(outcome)
        self.missed += not outcome.met
        if self.missed > self._most:
            raise _Hopeless
