"""When replicas moved between pools: what keeps two pools from passing them to and fro."""

from __future__ import annotations

from collections import deque

from .tuning import Tuning


class Turns:
    """At most `switches` moves within any `switch_window_s`, and no pool both gives and gets
    within one: between two pools the direction changes at most once a window."""

    def __init__(self, tuning: Tuning) -> None:
        self._most, self._window_s = tuning.switches, tuning.switch_window_s
        self._moves: deque[tuple[float, str, str]] = deque()  # (when, from, to)

    def allow(self, source: str, target: str, now: float) -> bool:
        while self._moves and now - self._moves[0][0] >= self._window_s:
            self._moves.popleft()
        if len(self._moves) >= self._most:
            return False
        return all(source != got and target != gave for _, gave, got in self._moves)

    def record(self, source: str, target: str, now: float) -> None:
        self._moves.append((now, source, target))
