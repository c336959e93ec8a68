"""What is due first goes first, short prompts before long ones, and nobody is put off for ever.

A request stands at the moment at which its first token is due, and a prompt of n tokens as if it
were due n / AGING seconds later. So an urgent or a short one overtakes another that came before it,
by so many seconds at most: behind that bound nobody is put off, whatever arrives (earliest deadline
first; shortest job first with linear aging; all age alike, so a place in the queue never changes
while one waits). Nor does it lose more than a quarter of its time that way.

By the order `fifo` it stands at the moment at which it came: a baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

AGING = 100.0  # tokens a second; an image of 1,400 tokens lets texts of its next 14 s go first


def rank(arrived_s: float, tokens: int, ttft_s: float = 0.0, patience_s: float = inf) -> float:
    """Lower goes first; seconds on the clock of `arrived_s`. `ttft_s`: what it was promised;
    `patience_s`: after which it fails."""
    return arrived_s + min(ttft_s + tokens / AGING, patience_s / 4)


def arrived(arrived_s: float, tokens: int, ttft_s: float = 0.0, patience_s: float = inf) -> float:
    """First come, first served."""
    return arrived_s


Rank = Callable[[float, int, float, float], float]

ORDERS: Mapping[str, Rank] = {"slack": rank, "fifo": arrived}


def rank_now(rank: float, computed: int) -> float:
    """Of a prompt of which so many tokens are computed already."""
    return rank - computed / AGING
