"""How fast prompts that wait for room are really prefilled, as seen while some wait all the time.

Speeds say what a replica could do. Where its KV is full, prompts begin as answers end; what decodes
take, and whatever else nobody reckons with, shows here as well. Nothing is said of a queue that was
empty a moment ago: it may be as fast as the speeds say.
"""

from __future__ import annotations

from collections import deque

LEAST_S = 1.0  # of an unbroken queue, before it says anything
MOST_S = 10.0  # older sights are forgotten


class Draining:
    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()  # (time, tokens served until then)

    def see(self, waiting: int, served: int, now: float) -> None:
        """Every tick: requests that wait for a replica, tokens prefilled since the start."""
        if not waiting:
            self._seen.clear()
            return
        self._seen.append((now, served))
        while now - self._seen[0][0] > MOST_S:
            self._seen.popleft()

    @property
    def tokens_s(self) -> float | None:
        """None while nothing can be said."""
        if not self._seen:
            return None
        (began_s, before), (now, served) = self._seen[0], self._seen[-1]
        return (served - before) / (now - began_s) if now - began_s >= LEAST_S else None
