"""What a pool needed lately, and whether letting a replica go was regretted."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import takewhile
from math import inf

from .tuning import Tuning

SOON = 3.0  # times the down window, within which wanting a replica back is a regret


class Memory:
    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._least_down_s = tuning.down_s
        self._regret = 1
        self._needs: deque[tuple[float, float]] = deque()  # (when, replicas)
        self._began_s = inf
        self.left_s = -inf  # when a replica was let go
        self._regretted_s = -inf  # when one was wanted back
        self.grew_s = -inf

    @property
    def down_s(self) -> float:
        """How long a replica must not have been needed before it leaves."""
        return self._least_down_s * self._regret

    def needed(self, now: float, replicas: float, cold_start_s: float) -> None:
        tuning = self._tuning
        self._least_down_s = max(tuning.down_s, tuning.down_cold_starts * cold_start_s)
        self._began_s = min(self._began_s, now)
        self._needs.append((now, replicas))
        longest_s = self._least_down_s * tuning.most_regret
        while now - self._needs[0][0] > longest_s:
            self._needs.popleft()

    def most(self, now: float, seconds: float) -> float:
        """The most that was needed within the last so many seconds; inf where they are not yet
        over since the first."""
        return inf if now - self._began_s < seconds else max(self._last(now, seconds), default=0.0)

    def least(self, now: float, seconds: float) -> float:
        return min(self._last(now, seconds), default=0.0)

    def _last(self, now: float, seconds: float) -> Iterator[float]:
        newest_first = takewhile(lambda need: now - need[0] <= seconds, reversed(self._needs))
        return (replicas for _, replicas in newest_first)

    def grew(self, now: float) -> None:
        """One departure is regretted once, however many replicas are launched then."""
        self.grew_s = now
        if now - self.left_s < SOON * self.down_s:
            self._regret = min(self._tuning.most_regret, 2 * self._regret)
            self.left_s, self._regretted_s = -inf, now

    def left(self, now: float) -> None:
        self.left_s = now
        if now - self._regretted_s > SOON * self.down_s:
            self._regret = 1
