"""Other draws of one recording: stretches of it, and blocks."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modserve.scheduler.workload.arrivals import Arrival
from modserve.scheduler.workload.resampling import BLOCKS, blocks, has_stretches, stretch

GAPS = some.lists(some.floats(0, 10), min_size=1, max_size=60)


def recording(gaps: list[float]) -> list[Arrival]:
    at_s = [sum(gaps[:place]) for place in range(len(gaps))]
    return [Arrival(time, 10 + place, 5) for place, time in enumerate(at_s)]


def test_a_stretch_begins_with_its_first_request() -> None:
    rows = recording([1.0] * 10)
    found = stretch(iter(rows), 4, 3)
    assert [one.text_tokens for one in found] == [14, 15, 16]
    assert [one.at_s for one in found] == [0.0, 1.0, 2.0]
    assert has_stretches(10, 3, 3)
    assert not has_stretches(10, 4, 3)


@settings(deadline=None)  # the machine is shared
@given(GAPS, some.integers(1, 200), some.integers(0, 9))
def test_blocks_are_rows_in_order_of_their_times(gaps: list[float], wanted: int, seed: int) -> None:
    rows = recording(gaps)
    found = blocks(rows, Random(seed), wanted)
    assert len(found) == wanted
    assert {one.text_tokens for one in found} <= {one.text_tokens for one in rows}
    assert all(one.at_s <= other.at_s for one, other in pairwise(found))
    assert found == blocks(rows, Random(seed), wanted)


def test_blocks_have_the_rate_of_the_recording() -> None:
    rows = recording([0.1] * 50 + [1.9] * 50)  # most come in the first twentieth of the time
    found = blocks(rows, Random(1), 20_000)
    assert 20_000 / found[-1].at_s == pytest.approx(1.0, rel=0.1)


def test_a_block_keeps_its_gaps() -> None:
    rows = recording([1.0] * (10 * BLOCKS))
    found = blocks(rows, Random(3), 500)
    gaps = [other.at_s - one.at_s for one, other in pairwise(found)]
    assert sum(gap == pytest.approx(1.0) for gap in gaps) >= 0.85 * len(gaps)


def test_of_nothing_nothing_is_drawn() -> None:
    assert blocks([], Random(0), 5) == []
