"""Quantiles out of counts, against the values themselves."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modserve.simulator.spread import ERROR, Spread

seconds = some.floats(2e-6, 9e5)


def spread_of(values: list[float]) -> Spread:
    found = Spread()
    for value in values:
        found.add(value)
    return found


@settings(deadline=None)  # the machine is shared
@given(some.lists(seconds, min_size=1, max_size=200), some.floats(0, 1))
def test_no_quantile_is_further_off_than_it_says(values: list[float], share: float) -> None:
    found = spread_of(values)
    exact = sorted(values)[int(share * (len(values) - 1))]
    assert found.quantile(share) == pytest.approx(exact, rel=ERROR * 1.001)
    assert found.mean == pytest.approx(sum(values) / len(values))


@settings(deadline=None)
@given(some.lists(seconds, min_size=1, max_size=50), some.lists(seconds, max_size=50))
def test_a_sum_is_of_all_values(some_values: list[float], others: list[float]) -> None:
    both, whole = spread_of(some_values) + spread_of(others), spread_of(some_values + others)
    assert list(both.curve()) == list(whole.curve())
    assert both.count == whole.count
    assert both.mean == pytest.approx(whole.mean)


def test_a_curve_rises_to_one() -> None:
    dice = Random(0)
    curve = list(spread_of([dice.lognormvariate(0, 1) for _ in range(5000)]).curve())
    assert curve == sorted(curve)
    assert [share for _, share in curve] == sorted(share for _, share in curve)
    assert curve[-1][1] == 1.0
    assert len(curve) < 2000


def test_of_nothing_there_is_no_quantile() -> None:
    assert (Spread().quantile(0.5), Spread().mean, list(Spread().curve())) == (None, None, [])


@pytest.mark.parametrize("value", [0.0, 1e-9, 1e-6])
def test_what_took_no_time_is_as_good_as_none(value: float) -> None:
    assert spread_of([value]).quantile(0.5) == pytest.approx(1e-6, rel=0.02)


def test_what_took_for_ever_is_counted_at_the_edge() -> None:
    assert spread_of([1e9]).quantile(1.0) == pytest.approx(1e6, rel=0.02)
