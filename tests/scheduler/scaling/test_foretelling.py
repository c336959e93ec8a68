"""The forecast, the head room for bursts, and the windows that both read."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modserve.scheduler.scaling.bursting import head_room
from modserve.scheduler.scaling.forecasting import GROWTH, forecast
from modserve.scheduler.scaling.loads import Traffic

RATES = st.lists(st.floats(0, 1e6), max_size=80)


def traffic(*rates: float) -> Traffic:
    return Traffic(float(len(rates)), 1.0, rates)


def test_windows_end_now_and_none_is_cut_short() -> None:
    assert traffic(9, 1, 3, 5, 7).windows(2.0) == [2.0, 6.0]
    assert traffic(1, 3).over(10.0) == 2.0
    assert traffic().windows(2.0) == [] and traffic().over(2.0) == 0.0


def test_constant_traffic_is_expected_to_stay() -> None:
    seen = forecast(traffic(*[40.0] * 60), 5.0, 60.0)
    assert seen.level == pytest.approx(40) and seen.expected == pytest.approx(40)


def test_rising_traffic_is_expected_to_rise_for_a_while() -> None:
    ramp = traffic(*map(float, range(100)))
    soon, later = forecast(ramp, 5.0, 10.0), forecast(ramp, 5.0, 600.0)
    assert soon.level < soon.expected < later.expected
    assert later.expected < 100 + 30  # the trend is damped: 600 s of it would be 700


def test_a_step_is_believed_after_two_windows() -> None:
    seen = forecast(traffic(*[100.0] * 60, *[200.0] * 10), 5.0, 30.0)
    assert seen.level > 170 and seen.expected > 190


@given(RATES, st.floats(0.1, 60), st.floats(0, 600))
def test_a_forecast_is_bounded_by_what_was_seen(
    rates: list[float], step_s: float, horizon_s: float
) -> None:
    seen = forecast(traffic(*rates), step_s, horizon_s)
    most = GROWTH * max(rates, default=0.0)
    assert 0 <= seen.level <= most + 1e-6 and 0 <= seen.expected <= most + 1e-6


def test_bursts_need_more_room_than_even_traffic() -> None:
    dice = Random(5)
    even = traffic(*[100.0] * 300)
    poisson = traffic(*[float(sum(dice.random() < 0.1 for _ in range(1000))) for _ in range(300)])
    bursts = traffic(*([0.0] * 20 + [300.0] * 10) * 10)
    room = [head_room(seen, 10.0, 100.0) for seen in (even, poisson, bursts)]
    assert room == [10.0, pytest.approx(10.0, abs=1), 100.0]


def test_one_step_is_no_burst() -> None:
    stepped = traffic(*[100.0] * 150, *[200.0] * 150)
    assert head_room(stepped, 10.0, 200.0) < 25.0


@given(RATES, st.floats(0, 1e6))
def test_head_room_is_a_tenth_of_the_level_at_least_and_the_level_at_most(
    rates: list[float], level: float
) -> None:
    assert 0.1 * level <= head_room(traffic(*rates), 10.0, level) <= level
