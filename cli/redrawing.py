"""The same workload several times, drawn anew: what `simulate --repeats` runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from ..scheduler.workload.arrivals import Arrival
from ..scheduler.workload.resampling import blocks, has_stretches, stretch
from .sources import Source, Wanted, source_of


def sources_of(wanted: Wanted, repeats: int) -> list[Source]:
    """One of a seed each. What is drawn is drawn with that seed; a trace's requests are another
    stretch of it, or blocks of it where it is too short. Raises as `source_of` does."""
    asked = [replace(wanted, seed=wanted.seed + number) for number in range(repeats)]
    if wanted.trace is None or repeats == 1:
        return [source_of(one) for one in asked]
    whole = [source_of(replace(one, num_prompts=None)) for one in asked]
    requests = sum(1 for _ in whole[0].begin())
    count = wanted.num_prompts or requests
    if has_stretches(requests, count, repeats):
        told = f"{repeats} stretches of it, {count:,} requests each."
        firsts = [number * requests // repeats for number in range(repeats)]
        pairs = zip(whole, firsts, strict=True)
        found = [stretch(source.begin(), first, count) for source, first in pairs]
    else:
        told = f"{repeats} draws of blocks of a tenth of its time, {count:,} requests each."
        dice = [Random(f"{one.seed} blocks") for one in asked]
        both = zip(whole, dice, strict=True)
        found = [blocks(list(source.begin()), one, count) for source, one in both]
    return [_kept(one, rows, told) for one, rows in zip(whole, found, strict=True)]


def _kept(source: Source, rows: Sequence[Arrival], told: str) -> Source:
    def begin() -> Iterator[Arrival]:
        return iter(rows)

    return replace(source, begin=begin, notes=[*source.notes, f"{source.name}: {told}"])
