"""Short prompts first, but not for ever: the order in which prompts are prefilled.

A prompt of n tokens stands as if it had come n / AGING seconds later than it did. So a short one
overtakes a long one that came before it, by so many seconds at most: behind that bound nobody is
put off, whatever arrives (Shortest job first with linear aging; both age alike, so a place in the
queue never changes while one waits). Nor does it lose more than a quarter of its time that way.
"""

from __future__ import annotations

from math import inf

AGING = 100.0  # tokens a second; an image of 1,400 tokens lets texts of its next 14 s go first


def rank(arrived_s: float, tokens: int, patience_s: float = inf) -> float:
    """Lower goes first; seconds on the clock of `arrived_s`. `patience_s`: until its deadline."""
    return arrived_s + min(tokens / AGING, patience_s / 4)


def rank_now(rank: float, computed: int) -> float:
    """Of a prompt of which so many tokens are computed already."""
    return rank - computed / AGING
