"""How many were sent lately, and how many of them were served in time; in memory that is fixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    sent: int = 0
    met: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.sent + other.sent, self.met + other.met)

    @property
    def share(self) -> float | None:
        """None where nothing was sent."""
        return self.met / self.sent if self.sent else None


class Window:
    """The last `span_s` seconds in `buckets`, the running one and the full ones before it; several
    `columns` are counted beside each other. Adding is frequent and cheap, reading sums up."""

    __slots__ = ("_at", "_met", "_sent", "_width")

    def __init__(self, span_s: float, buckets: int, columns: int) -> None:
        self._width = span_s / buckets
        self._sent = [[0] * columns for _ in range(buckets)]
        self._met = [[0] * columns for _ in range(buckets)]
        self._at = 0  # the running bucket, counted from the beginning of the clock

    def add(self, told: Sequence[bool | None], now: float) -> None:
        """A verdict for each column, None where there is none; `now` is never less than before."""
        self._move(now)
        slot = self._at % len(self._sent)
        sent, met = self._sent[slot], self._met[slot]
        for column, one in enumerate(told):
            if one is not None:
                sent[column] += 1
                met[column] += one

    def counts(self, column: int, now: float) -> Counts:
        """Without what is older than the window at `now`."""
        self._move(now)
        return Counts(sum(row[column] for row in self._sent), sum(row[column] for row in self._met))

    def _move(self, now: float) -> None:
        at = int(now // self._width)
        if at <= self._at:
            return
        for bucket in range(max(self._at, at - len(self._sent)) + 1, at + 1):
            slot = bucket % len(self._sent)
            self._sent[slot] = [0] * len(self._sent[slot])
            self._met[slot] = [0] * len(self._met[slot])
        self._at = at
