"""The cost of a step: more work never takes less time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modserve.scheduler.costs.text import TextCost, TextWork

COST = TextCost(fixed_s=2e-3, weights_s=1e-2, row_s=2e-5, pair_s=1e-9, context_s=2e-8, overlap=2.0)
CHUNKS = some.lists(some.tuples(some.integers(0, 10_000), some.integers(1, 2000)), max_size=4)
WORKS = some.builds(TextWork, CHUNKS, some.integers(0, 64), some.integers(0, 100_000))


def test_rows_and_pairs_of_two_chunks_beside_decodes() -> None:
    work = TextWork([(0, 3), (10, 2)], decodes=4, decode_context=99)
    assert work.rows == 3 + 2 + 4
    assert work.pairs == (1 + 2 + 3) + (11 + 12)


def test_nothing_takes_no_time() -> None:
    assert COST.seconds(TextWork()) == 0.0


@given(WORKS, some.floats(1, 8))
def test_a_step_lies_between_the_longer_of_its_two_sides_and_their_sum(
    work: TextWork, overlap: float
) -> None:
    if not work.rows:
        return
    attention = COST.pair_s * work.pairs + COST.context_s * work.decode_context
    products = replace(COST, overlap=overlap).seconds(work) - COST.fixed_s - attention
    sides = COST.weights_s, COST.row_s * work.rows
    assert max(sides) * (1 - 1e-9) <= products <= sum(sides) * (1 + 1e-9)


@given(WORKS)
def test_the_usual_overlap_is_computed_as_any_other(work: TextWork) -> None:
    beside = replace(COST, overlap=2.0 + 1e-12)
    assert COST.seconds(work) == pytest.approx(beside.seconds(work), rel=1e-9)


@given(WORKS, some.integers(0, 5000), some.integers(1, 500))
def test_another_chunk_never_takes_less_time(work: TextWork, start: int, tokens: int) -> None:
    more = replace(work, chunks=[*work.chunks, (start, tokens)])
    assert COST.seconds(more) > COST.seconds(work)


@given(some.integers(1, 5000), some.integers(1, 2048))
def test_a_prompt_in_chunks_is_never_faster_than_whole(tokens: int, chunk: int) -> None:
    assert COST.prefill_s(tokens, chunk) >= COST.prefill_s(tokens, tokens) * (1 - 1e-9)


def test_a_decode_costs_more_than_its_row() -> None:
    cost = TextCost(1.0, 0.0, 0.1, 0.0, 0.0, decode_s=0.5)
    assert cost.seconds(TextWork(decodes=2)) == pytest.approx(1 + 0.2 + 1.0)
    assert cost.seconds(TextWork([(0, 2)])) == pytest.approx(1.2)
