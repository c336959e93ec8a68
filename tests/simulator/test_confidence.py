"""Intervals against values of the tables."""

from __future__ import annotations

import pytest

from modserve.simulator.confidence import interval, t_quantile


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (4, 2.776), (10, 2.228), (11, 2.201), (30, 2.042)]
)
def test_quantiles_are_those_of_students_table(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=6e-4)


def test_an_interval_lies_around_the_mean() -> None:
    found = interval([9.0, 10.0, 11.0])
    assert found.mean == 10.0
    assert found.low == pytest.approx(10 - 4.3027 / 3**0.5)
    assert found.high == pytest.approx(10 + 4.3027 / 3**0.5)


def test_one_value_says_nothing_about_others() -> None:
    found = interval([3.0])
    assert (found.mean, found.low, found.high) == (3.0, None, None)
