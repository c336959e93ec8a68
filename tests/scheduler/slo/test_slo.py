"""What a request is promised, and whether an answer kept it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modserve.scheduler.slo.classes import BATCH, CLASSES, INTERACTIVE, STANDARD, SloClass
from modserve.scheduler.slo.slo import UNASKED, met, slo_of

TIMES = st.floats(0.001, 1000.0)


def test_a_request_that_says_nothing_is_standard() -> None:
    assert UNASKED.slo_class is STANDARD
    assert (UNASKED.ttft_s, UNASKED.tpot_s, UNASKED.image_s) == (2.0, 0.1, 0.0)


def test_the_classes_are_in_order_and_degrade_to_slower_ones() -> None:
    assert INTERACTIVE.priority < STANDARD.priority < BATCH.priority
    for one in CLASSES.values():
        if one.degrade_to is not None:
            assert CLASSES[one.degrade_to].ttft_s > one.ttft_s


def test_images_have_time_of_their_own() -> None:
    slo = slo_of(INTERACTIVE, image_tokens=800)
    assert slo.ttft_s == pytest.approx(0.5 + 0.8)
    assert slo.image_s == pytest.approx(0.8)


def test_a_ttft_of_its_own_is_divided_as_the_class_divides_its_own() -> None:
    slo = slo_of(INTERACTIVE, image_tokens=500, ttft_s=3.0, tpot_s=0.2)
    assert (slo.ttft_s, slo.tpot_s) == (3.0, 0.2)
    assert slo.image_s == pytest.approx(1.5)


def test_a_class_that_says_nothing_of_images_gives_them_half() -> None:
    assert slo_of(SloClass("mine", 4.0, 1.0), image_tokens=10).image_s == 2.0


@given(TIMES, TIMES, st.floats(0, 1), st.integers(0, 100_000), st.none() | TIMES)
def test_the_parts_are_parts(
    ttft_s: float, tpot_s: float, image_token_s: float, tokens: int, own_s: float | None
) -> None:
    slo = slo_of(SloClass("a", ttft_s, tpot_s, image_token_s), tokens, own_s)
    assert 0 <= slo.image_s <= slo.ttft_s
    assert slo.ttft_s == own_s if own_s is not None else slo.ttft_s >= ttft_s
    assert tokens or slo.image_s == 0


@pytest.mark.parametrize(
    ("ttft_s", "tpot_s", "in_time"),
    [
        (2.0, 0.1, True),
        (2.001, 0.1, False),
        (2.0, 0.101, False),
        (1.0, None, True),
        (None, None, False),
    ],
)
def test_in_time_is_both_in_time(ttft_s: float | None, tpot_s: float | None, in_time: bool) -> None:
    assert met(UNASKED, ttft_s, tpot_s) is in_time
