"""Budgets follow the time that steps take; one step that the machine held up changes nothing."""

from __future__ import annotations

from math import hypot, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modserve.scheduler.pacing import LEAST, LONGEST_S, SHARE, ImagePace, TextPace, due_s, gap_of

GAP_S = 0.15


def measured(decode_s: float = 0.05, token_s: float = 0.001) -> TextPace:
    pace = TextPace(512)
    for _ in range(3):
        pace.took(0, 8, decode_s)
        pace.took(100, 8, decode_s + 100 * token_s)
    return pace


def test_a_chunk_fills_what_the_decodes_leave_of_the_gap() -> None:
    assert measured().budget(8, GAP_S) == pytest.approx(8 + 100, abs=1)


def test_nobody_waits_where_nobody_decodes() -> None:
    assert measured().budget(0, GAP_S) == 512


def test_before_anything_was_measured_only_the_limit_counts() -> None:
    assert TextPace(512).budget(8, GAP_S) == 512


def test_a_gap_is_a_few_times_what_was_promised_on_average() -> None:
    assert gap_of(0.1) == pytest.approx(0.25)
    assert gap_of(1000.0) == LONGEST_S


def test_where_nothing_was_promised_only_the_limit_counts() -> None:
    assert measured().budget(8, inf) == 512
    assert measured().rest_s(0.0, inf, inf) == 0.0


def test_those_who_can_wait_longer_leave_more_to_a_prefill_and_rest_longer() -> None:
    pace = measured(decode_s=0.05)
    assert pace.budget(8, gap_of(0.15)) > pace.budget(8, gap_of(0.1)) > pace.budget(8, gap_of(0.05))
    assert due_s(1.0, 10, 0.15) > due_s(1.0, 10, 0.1) > 1.0


def test_a_prefill_goes_on_even_where_decodes_alone_take_longer() -> None:
    assert measured(decode_s=0.2).budget(8, GAP_S) == pytest.approx(8 + SHARE * 200, abs=1)
    assert measured(decode_s=0.2, token_s=0.1).budget(8, GAP_S) == 8 + LEAST


def test_a_step_that_the_machine_held_up_is_forgotten() -> None:
    pace = measured()
    pace.took(100, 8, 9.0)
    pace.took(0, 8, 9.0)
    assert pace.budget(8, GAP_S) == pytest.approx(108, abs=1)


def test_what_is_forgotten_limits_nothing() -> None:
    pace = measured()
    pace.forget()
    assert (pace.budget(8, GAP_S), pace.token_s, pace.decode_s, pace.row_s) == (512, 0.0, 0.0, 0.0)


def test_a_machine_that_became_slower_is_believed_after_some_steps() -> None:
    pace = measured()
    for _ in range(9):
        pace.took(100, 8, 0.05 + 100 * 0.002)
    assert pace.budget(8, GAP_S) == 8 + LEAST


def test_a_backlog_in_which_no_step_goes_without_prefill_slows_nobody_down_for_good() -> None:
    pace = measured(decode_s=0.3)
    for _ in range(50):  # the decodes that took so long have ended
        tokens = pace.budget(2, GAP_S) - 2
        pace.took(tokens, 2, 0.02 + tokens * 0.001)
    assert pace.budget(2, GAP_S) >= 2 + 150


@given(st.integers(64, 512), st.integers(64, 512), st.floats(20, 200), st.floats(1e-3, 0.05))
def test_idle_and_busy_workers_tell_alike_what_a_row_takes(
    alone: int, beside: int, even: float, weights_s: float
) -> None:
    """Though a prompt alone takes far more for each of its tokens than a chunk beside decodes.
    `even`: rows whose products take as long as reading the weights."""
    row_s = weights_s / even
    idle, busy = TextPace(512), TextPace(512)
    for pace, tokens, decodes in ((idle, alone, 0), (busy, beside, 8)):
        pace.took(0, 8, hypot(weights_s, 8 * row_s))
        pace.took(tokens, decodes, hypot(weights_s, (tokens + decodes) * row_s))
    assert idle.row_s == pytest.approx(busy.row_s, rel=0.3)
    assert idle.row_s == pytest.approx(row_s, rel=0.3)


@given(
    st.lists(st.tuples(st.integers(0, 512), st.integers(0, 64), st.floats(0, 10)), max_size=40),
    st.integers(0, 600),
    st.integers(32, 512),
)
def test_a_budget_always_lets_decodes_and_some_prefill_through(
    steps: list[tuple[int, int, float]], decodes: int, most: int
) -> None:
    pace = TextPace(most)
    for step in steps:
        pace.took(*step)
    assert min(most, decodes + LEAST) <= pace.budget(decodes, GAP_S) <= max(most, decodes + LEAST)


def test_an_encode_batch_takes_so_long_at_most() -> None:
    pace = ImagePace(8192, 0.25)
    assert pace.budget() == 8192
    pace.took(1000, 1.0)
    assert pace.budget() == 250


def test_decodes_rest_until_a_token_is_due() -> None:
    pace = measured(decode_s=0.02)
    assert pace.rest_s(0.03, GAP_S, 0.1) == pytest.approx(0.1 - 0.02)
    assert pace.rest_s(0.03, GAP_S, 9.0) == pytest.approx(GAP_S - 0.03 - 0.02), "and no gap longer"


def test_decodes_that_are_late_do_not_rest() -> None:
    assert measured().rest_s(0.0, GAP_S, 0.01) == 0.0
    assert measured().rest_s(0.0, GAP_S, -3.0) == 0.0
    assert measured(decode_s=0.2).rest_s(0.0, GAP_S, 9.0) == 0.0


@given(st.lists(st.floats(0.0, 0.5), min_size=1, max_size=60), st.floats(0.05, 1.0))
def test_who_rests_until_its_tokens_are_due_keeps_its_promise_if_steps_allow(
    others: list[float], tpot_s: float
) -> None:
    """Steps that others make long use up what the ones before have saved, and no more."""
    pace, now = measured(decode_s=0.02), 0.0
    for number, other_s in enumerate(others, start=1):
        now += pace.rest_s(0.0, gap_of(tpot_s), due_s(0.0, number, tpot_s) - now)
        now += 0.02 + (other_s if other_s < due_s(0.0, number, tpot_s) - now - 0.02 else 0.0)
        assert now <= tpot_s * number
