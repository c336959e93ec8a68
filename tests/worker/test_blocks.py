from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from modserve.worker.text.blocks import BlockTables, NoRoom, Run


def test_two_requests_are_placed_so_that_both_can_grow_in_place() -> None:
    tables = BlockTables(20)
    tables.open("a", 3, limit=10)
    tables.open("b", 3, limit=10)
    for _ in range(7):
        tables.extend("a", 1)
        tables.extend("b", 1)
    assert [len(table.runs) for table in tables.tables.values()] == [1, 1]
    tables.check()


def test_a_zone_is_entered_when_nothing_else_is_left() -> None:
    tables = BlockTables(10)
    tables.open("a", 2, limit=10)
    tables.open("b", 8, limit=8)
    assert tables.free == 0
    tables.check()


def test_an_owner_is_scattered_only_when_no_gap_is_long_enough() -> None:
    tables = BlockTables(6)
    for name in "abc":
        tables.open(name, 2, limit=2)
    tables.close("a")
    tables.close("c")
    tables.open("d", 3, limit=3)
    assert [run.length for run in tables.tables["d"].runs] == [2, 1]
    tables.check()


def test_an_owner_that_was_scattered_keeps_no_zone() -> None:
    """Its new blocks lie at the front: what lies between them and where its zone ended is free,
    so nobody need enter the zone of another."""
    tables = BlockTables(18)
    tables.open("front", 2, limit=2)
    tables.open("a", 2, limit=8)
    tables.open("b", 6, limit=6)
    tables.open("c", 1, limit=2)
    tables.open("in the zone of a", 6, limit=6)
    tables.close("front")
    tables.extend("a", 2)
    assert tables.tables["a"].runs == [Run(2, 2), Run(0, 2)]
    tables.close("in the zone of a")
    tables.open("d", 1, limit=1)
    tables.extend("c", 1)
    assert len(tables.tables["c"].runs) == 1
    tables.check()


def test_spares_do_not_make_way_where_no_gap_can_come_of_it() -> None:
    tables = BlockTables(8)
    for name, blocks in (("a", 2), ("b", 1), ("c", 2), ("d", 1), ("e", 2)):
        tables.open(name, blocks, limit=blocks)
    tables.close("a")
    tables.spare("e", "spare", 1)
    tables.open("f", 3, limit=3)
    assert tables.tables["f"].runs == [Run(0, 2), Run(7, 1)]
    assert tables.home("f", 3) is None
    assert list(tables.spares) == ["spare"]
    tables.check()


def test_more_blocks_than_are_free_are_refused_with_both_numbers() -> None:
    tables = BlockTables(4)
    tables.open("a", 3, limit=3)
    with pytest.raises(NoRoom, match="b: expected 2 free KV blocks, got 1"):
        tables.open("b", 2, limit=2)
    with pytest.raises(NoRoom, match="a: expected 2 free KV blocks, got 1"):
        tables.extend("a", 2)
    assert tables.used == 3


class Lives(RuleBasedStateMachine):
    """Requests come, grow and end in any order; no block ever has two owners."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = BlockTables(24)
        self.born = 0

    @rule(blocks=st.integers(1, 9), more=st.integers(0, 9))
    def open(self, blocks: int, more: int) -> None:
        self.born += 1
        room = blocks <= self.tables.free
        try:
            self.tables.open(str(self.born), blocks, blocks + more)
        except NoRoom:
            assert not room
        else:
            assert room
            assert self.tables.tables[str(self.born)].blocks == blocks

    @rule(pick=st.integers(0, 9), blocks=st.integers(1, 3))
    def extend(self, pick: int, blocks: int) -> None:
        if (owner := self._owner(pick)) and blocks <= self.tables.free:
            before = self.tables.tables[owner].blocks
            self.tables.extend(owner, blocks)
            assert self.tables.tables[owner].blocks == before + blocks
            if home := self.tables.home(owner, 4):
                self.tables.move(owner, home, 4)
                assert self.tables.tables[owner].blocks == before + blocks

    @rule(pick=st.integers(0, 9))
    def close(self, pick: int) -> None:
        if owner := self._owner(pick):
            self.tables.close(owner)

    @invariant()
    def one_owner_per_block(self) -> None:
        self.tables.check()

    def _owner(self, pick: int) -> str | None:
        owners = list(self.tables.tables)
        return owners[pick % len(owners)] if owners else None


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
