"""Other draws of a workload of which there is one recording alone.

Where it is long enough, each draw is another stretch of it: what changes over the hours shows in
how draws differ. Where it is not, a draw is put together of blocks from random places, by time, so
that busy minutes come as often as they were (the circular block bootstrap: Politis and Romano,
1992). A block keeps the gaps and the bursts that fit into it; those that are longer are cut. Draws
of one short recording say how sure a figure is for what happened then, not for other days.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from .arrivals import Arrival
from .draws import Dice

BLOCKS = 10  # in the time of a recording


def has_stretches(requests: int, wanted: int, draws: int) -> bool:
    """Whether a recording of `requests` has so many stretches that do not overlap."""
    return wanted * draws <= requests


def stretch(rows: Iterator[Arrival], first: int, wanted: int) -> list[Arrival]:
    """The `wanted` rows from `first` on; time begins anew with them."""
    found = list(islice(rows, first, first + wanted))
    return [replace(one, at_s=one.at_s - found[0].at_s) for one in found]


def blocks(rows: Sequence[Arrival], dice: Dice, wanted: int) -> list[Arrival]:
    """So many arrivals, of as many blocks as that takes; `rows` that all come at once come so."""
    found: list[Arrival] = []
    if not rows:
        return found
    at_s = [one.at_s for one in rows]
    whole_s = at_s[-1] + at_s[-1] / max(1, len(rows) - 1)  # it begins again a mean gap later
    block_s, since_s = whole_s / BLOCKS, 0.0
    while len(found) < wanted:
        begin_s = dice.random() * whole_s
        found += (
            replace(one, at_s=since_s + after_s)
            for one, after_s in _block(rows, at_s, begin_s, block_s, whole_s)
        )
        since_s += block_s
    return found[:wanted]


def _block(
    rows: Sequence[Arrival], at_s: Sequence[float], begin_s: float, block_s: float, whole_s: float
) -> Iterator[tuple[Arrival, float]]:
    """Those that come within the block, and how long behind its beginning; behind the end of the
    recording its beginning comes again."""
    if not block_s:
        yield from ((one, 0.0) for one in rows)
        return
    end_s = begin_s + block_s
    for lap_s in (0.0, whole_s):
        first = bisect_left(at_s, begin_s - lap_s)
        for one in islice(rows, first, bisect_left(at_s, end_s - lap_s)):
            yield one, min(one.at_s + lap_s - begin_s, block_s)
