"""How many tokens stand in front of a rank, without a look at those that wait.

Ranks are times, so they fall into bins: an eighth of a second wide, sixteen of them in one of the
next level, and so on. A sum reads at most fifteen bins of a level and the few of the last one, and
what is added changes one of each, however many wait.
"""

from __future__ import annotations

from math import floor

WIDTH_S = 0.125
FAN_BITS = 4
LEVELS = 4  # the widest bins have 512 s


class Backlog:
    """Tokens by rank (scheduler/aging.py); bins that are empty are forgotten."""

    def __init__(self) -> None:
        self.total = 0
        self._levels: list[dict[int, int]] = [{} for _ in range(LEVELS)]

    def add(self, rank: float, tokens: int) -> None:
        """A negative number takes away what was added with this rank."""
        self.total += tokens
        place = floor(rank / WIDTH_S)
        for level in self._levels:
            held = level.get(place, 0) + tokens
            if held:
                level[place] = held
            else:
                level.pop(place, None)
            place >>= FAN_BITS

    def before(self, rank: float) -> int:
        """Of lower ranks, and of those in the same bin."""
        end, found = floor(rank / WIDTH_S) + 1, 0
        for level in self._levels[:-1]:
            begin = end >> FAN_BITS << FAN_BITS
            found += sum(level.get(place, 0) for place in range(begin, end))
            end >>= FAN_BITS
        widest = self._levels[-1]
        return found + sum(tokens for place, tokens in widest.items() if place < end)
