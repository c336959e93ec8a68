"""How much room bursts need: what arrives in the time that a backlog may take to drain.

The spread is that of successive windows' differences (von Neumann 1941), half their mean square:
a level that moves, or stepped once, is no burst, traffic that comes and goes is. With windows of T
seconds and an index of dispersion I (Poisson arrivals of one token: 1) it is sqrt(I x rate / T).
"""

from __future__ import annotations

from itertools import pairwise
from math import sqrt

from .loads import Traffic

SIGMAS = 1.65  # one window in twenty may have more
LEAST, MOST = 0.1, 1.0  # of the level: some, also when nothing is known; and not for every burst


def head_room(traffic: Traffic, window_s: float, level: float) -> float:
    """Tokens/s to have beyond the level."""
    rates = traffic.windows(window_s)
    steps = [(late - early) ** 2 for early, late in pairwise(rates)]
    spread = sqrt(sum(steps) / len(steps) / 2) if steps else 0.0
    return min(MOST * level, max(LEAST * level, SIGMAS * spread))
