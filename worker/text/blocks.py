"""Which request owns which blocks of KV: numbers only, no tensors.

CPU attention reads a request's KV as a view, which needs its blocks side by side; a gather per
step costs several times the attention itself. So a request is placed where it can grow: behind
its blocks lies a zone as long as it may still become. A zone is a wish and not a reservation:
other requests enter it when nothing else is left, and only owned blocks count as used.

What an owner that ended leaves behind may stay as a spare: its blocks count as free, and the
spare that was not asked for longest makes way when they are needed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple


class NoRoom(Exception):
    """More blocks were asked for than are free: whoever sent the work had not reserved them."""


class Run(NamedTuple):
    """Blocks side by side."""

    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(slots=True)
class Table:
    runs: list[Run] = field(default_factory=list)  # in the order of the tokens they hold
    zone_end: int = 0  # first block behind the zone of the last run

    @property
    def blocks(self) -> int:
        return sum(run.length for run in self.runs)


class BlockTables:
    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.used = 0
        self.tables: dict[str, Table] = {}  # of spares, too
        self.spares: OrderedDict[str, int] = OrderedDict()  # their blocks; next to go first
        self.evicted: Callable[[str], None] = lambda spare: None  # told of each that had to go

    @property
    def free(self) -> int:
        return self.blocks - self.used

    @property
    def spared(self) -> int:
        """Blocks of spares, which are free."""
        return sum(self.spares.values())

    def open(self, owner: str, blocks: int, limit: int) -> None:
        """Give a new owner `blocks`; `limit` is the most that it may come to hold."""
        if owner in self.tables:
            raise ValueError(f"expected a new owner of blocks, got {owner} a second time")
        self._claim(owner, blocks)
        place = self._make_place(blocks, limit)
        runs = [Run(place.start, blocks)] if place else self._scatter(blocks)
        self.tables[owner] = Table(runs, min(place.end, place.start + limit) if place else 0)
        self.used += blocks

    def extend(self, owner: str, blocks: int) -> None:
        """Add `blocks` behind what the owner holds, side by side with it where that is free."""
        self._claim(owner, blocks)
        table = self.tables[owner]
        last = table.runs[-1] if table.runs else Run(0, 0)
        wanted = Run(last.end, blocks)
        behind = self._owners_within(wanted)
        if table.runs and wanted.end <= self.blocks and self.spares.keys() >= set(behind):
            for spare in behind:
                self.discard(spare)
            table.runs[-1] = Run(last.start, last.length + blocks)
        else:
            table.runs += self._scatter(blocks)
            table.zone_end = 0  # it was behind another run
        self.used += blocks

    def home(self, owner: str, limit: int) -> Run | None:
        """A free place where all blocks of a scattered owner would lie side by side."""
        blocks = self.tables[owner].blocks
        place = self._make_place(blocks, limit)
        return Run(place.start, blocks) if place else None

    def move(self, owner: str, home: Run, limit: int) -> None:
        """The owner's blocks are `home` from now on; the caller has copied what they held."""
        if home.end > self.blocks or self._owners_within(home):
            raise ValueError(f"expected free blocks to move {owner} to, got {home}")
        self.tables[owner] = Table([home], home.start + limit)

    def close(self, owner: str) -> None:
        self.used -= self.tables.pop(owner).blocks

    def spare(self, owner: str, name: str, blocks: int) -> None:
        """The owner ends; its first `blocks` stay as a spare under another name."""
        table = self.tables.pop(owner)
        self.used -= table.blocks
        kept = Table()
        for run in table.runs:
            length = min(run.length, blocks - kept.blocks)
            if length > 0:
                kept.runs.append(Run(run.start, length))
        self.tables[name] = kept
        self.spares[name] = kept.blocks

    def evict(self) -> None:
        """The spare that was not asked for longest goes."""
        self.discard(next(iter(self.spares)))

    def discard(self, spare: str) -> None:
        """It goes whatever its turn."""
        del self.spares[spare], self.tables[spare]
        self.evicted(spare)

    def check(self) -> None:
        """Raise if a block has two owners or the count is wrong."""
        runs = sorted(run for table in self.tables.values() for run in table.runs)
        for run, after in pairwise(runs):
            if run.end > after.start:
                raise AssertionError(f"expected one owner per block, got {run} and {after}")
        if runs and (runs[0].start < 0 or runs[-1].end > self.blocks):
            raise AssertionError(f"expected blocks in 0..{self.blocks}, got {runs[0]}, {runs[-1]}")
        if (held := sum(run.length for run in runs)) != self.used + self.spared:
            got = f"{self.used} and {self.spared} spare"
            raise AssertionError(f"expected {held} used blocks by recount, got {got}")

    def _claim(self, owner: str, blocks: int) -> None:
        if blocks > self.free:
            raise NoRoom(f"{owner}: expected {blocks} free KV blocks, got {self.free}")

    def _make_place(self, blocks: int, limit: int) -> Run | None:
        """Spares make way for a gap that a view needs, if one can come of it."""
        place = self._place(blocks, limit)
        if not self.spares or blocks > self._longest(zones=False):
            return place
        wanted = limit if limit <= self._longest(zones=True) else blocks
        while self.spares and (place is None or place.length < wanted):
            self.evict()
            place = self._place(blocks, limit)
        return place

    def _place(self, blocks: int, limit: int) -> Run | None:
        """A gap for `blocks` with room to grow to `limit`, else the roomiest, else none."""
        for zones in (True, False):
            gaps = [gap for gap in self._gaps(zones) if gap.length >= blocks]
            if roomy := [gap for gap in gaps if gap.length >= limit]:
                return min(roomy, key=lambda gap: gap.length)
            if gaps:
                return max(gaps, key=lambda gap: gap.length)
        return None

    def _longest(self, *, zones: bool) -> int:
        """Of the gaps, were there no spares."""
        return max((gap.length for gap in self._gaps(zones, spares=False)), default=0)

    def _scatter(self, blocks: int) -> list[Run]:
        """The fewest runs that add up to `blocks`, for which spares make way; room has been
        claimed."""
        while self.free - self.spared < blocks:
            self.evict()
        runs: list[Run] = []
        for gap in sorted(self._gaps(zones=False), key=lambda gap: -gap.length):
            if blocks == 0:
                break
            runs.append(Run(gap.start, min(gap.length, blocks)))
            blocks -= runs[-1].length
        return runs

    def _gaps(self, zones: bool, spares: bool = True) -> list[Run]:
        """Free runs between the owned blocks, zones and spares counted as owned or not."""
        taken = sorted(
            (
                run.start,
                max(run.end, table.zone_end) if zones and run is table.runs[-1] else run.end,
            )
            for owner, table in self.tables.items()
            if spares or owner not in self.spares
            for run in table.runs
        )
        gaps: list[Run] = []
        free_from = 0
        for start, end in taken:
            if start > free_from:
                gaps.append(Run(free_from, start - free_from))
            free_from = max(free_from, end)
        if free_from < self.blocks:
            gaps.append(Run(free_from, self.blocks - free_from))
        return gaps

    def _owners_within(self, wanted: Run) -> list[str]:
        return [
            owner
            for owner, table in self.tables.items()
            if any(run.start < wanted.end and wanted.start < run.end for run in table.runs)
        ]
