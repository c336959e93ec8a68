"""A virtual clock: what happens when, and in which order at one moment."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf

Call = Callable[[], None]

ARRIVAL, PASSING, STEP = 0, 1, 2  # ranks: who comes, what has taken its time, a worker's step


class Agenda:
    """At one moment the lower rank goes first, then whoever was put down first. Workers have ranks
    of their own, from STEP up, so that the order of their steps does not follow from how many of
    them were put down as one."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rank = ARRIVAL  # of what happens now
        self.happened = 0
        self._heap: list[tuple[float, int, int, Call]] = []
        self._put = 0

    def at(self, when: float, rank: int, call: Call) -> None:
        """Nothing that is put down can be taken away: who changes his mind ignores the call."""
        self._put += 1
        heappush(self._heap, (when, rank, self._put, call))

    def step(self, until_s: float = inf) -> bool:
        """The next thing happens; False where there is none, or only later than that."""
        if not self._heap or self._heap[0][0] > until_s:
            return False
        self.now, self.rank, _, call = heappop(self._heap)
        self.happened += 1
        call()
        return True
