"""Short prompts first, but not for ever: the order in which prompts are prefilled.

A prompt of n tokens stands as if it had come n / AGING seconds later than it did. So a short one
overtakes a long one that came before it, by so many seconds at most: behind that bound nobody is
put off, whatever arrives (Shortest job first with linear aging; both age alike, so a place in the
queue never changes while one waits).
"""

from __future__ import annotations

AGING = 500.0  # tokens a second


def rank(arrived_s: float, tokens: int) -> float:
    """Lower goes first; seconds on the clock of `arrived_s`."""
    return arrived_s + tokens / AGING


def rank_now(rank: float, computed: int) -> float:
    """Of a prompt of which so many tokens are computed already."""
    return rank - computed / AGING
