"""Arriving tokens by bucket and modality, in constant memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modserve.scheduler.scaling.gathering import Gathering, Measure, measure_of
from modserve.scheduler.stage import ROLES


def test_only_buckets_that_are_full_count() -> None:
    gathering = Gathering()
    gathering.arrived(10.2, 100, 20)
    gathering.arrived(10.9, 0, 30)
    assert gathering.snapshot(10.99, Measure.TOTAL).traffic.tokens_per_s == ()
    traffic = gathering.snapshot(13.5, Measure.TOTAL).traffic
    assert (traffic.ended_s, traffic.tokens_per_s) == (13.0, (150.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("measure", "rate", "backlog"),
    [(Measure.IMAGE, 50.0, 60), (Measure.TEXT, 10.0, 15), (Measure.TOTAL, 60.0, 105)],
)
def test_each_measure_counts_its_tokens(measure: Measure, rate: float, backlog: int) -> None:
    gathering = Gathering(bucket_s=2.0)
    gathering.arrived(0.0, 100, 20)
    gathering.encoded(40)
    gathering.prefilled(10, 5)
    seen = gathering.snapshot(2.0, measure)
    assert seen.traffic.tokens_per_s == (rate,) and seen.backlog == backlog


def test_what_is_told_twice_leaves_no_negative_backlog() -> None:
    gathering = Gathering()
    gathering.encoded(10)
    gathering.prefilled(10, 10)
    gathering.arrived(0.0, 5, 5)
    assert gathering.snapshot(0.0, Measure.TOTAL).backlog == 10


def test_a_night_without_requests_costs_no_memory() -> None:
    gathering = Gathering(buckets=60)
    gathering.arrived(0.0, 5, 5)
    traffic = gathering.snapshot(86_400.0, Measure.TOTAL).traffic
    assert traffic.tokens_per_s == (0.0,) * 60 and traffic.ended_s == 86_400.0


@given(
    st.lists(st.tuples(st.floats(0, 50), st.integers(0, 1000), st.integers(0, 1000)), max_size=40)
)
def test_no_token_is_lost_or_counted_twice(events: list[tuple[float, int, int]]) -> None:
    gathering = Gathering()
    for at_s, image_tokens, text_tokens in sorted(events):
        gathering.arrived(at_s, image_tokens, text_tokens)
    seen = gathering.snapshot(100.0, Measure.TOTAL)
    assert sum(seen.traffic.tokens_per_s) == sum(image + text for _, image, text in events)
    assert seen.backlog == sum(image + text for _, image, text in events)


@given(st.lists(st.floats(0, 100), max_size=20))
def test_a_clock_that_steps_back_does_no_harm(times: list[float]) -> None:
    gathering = Gathering()
    for at_s in times:
        gathering.arrived(at_s, 1, 1)
    seen = gathering.snapshot(200.0, Measure.IMAGE)
    assert sum(seen.traffic.tokens_per_s) == len(times)


@pytest.mark.parametrize(
    ("role", "cross_attention", "measure"),
    [
        ("encode", False, Measure.IMAGE),
        ("encode", True, Measure.IMAGE),
        ("text", False, Measure.TOTAL),
        ("text", True, Measure.TEXT),
        ("prefill", True, Measure.TEXT),
        ("decode", False, Measure.TOTAL),
        ("all", False, Measure.TOTAL),
        ("all", True, Measure.TOTAL),
    ],
)
def test_a_pool_is_measured_by_what_makes_its_work(
    role: str, cross_attention: bool, measure: Measure
) -> None:
    assert measure_of(ROLES[role], cross_attention=cross_attention) is measure


def test_a_bucket_has_a_length() -> None:
    with pytest.raises(ValueError, match="expected buckets longer than 0 s, got 300 of 0 s"):
        Gathering(bucket_s=0.0)
