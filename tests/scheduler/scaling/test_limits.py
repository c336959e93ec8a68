"""Limits that no fleet can meet are refused in a sentence; policies are found by their names."""

from __future__ import annotations

from math import nan

import pytest

from modserve.scheduler.scaling.limits import Limits, PoolLimits
from modserve.scheduler.scaling.registry import POLICIES, policy_named
from modserve.scheduler.scaling.tuning import Tuning


@pytest.mark.parametrize(
    ("least", "most", "gpus", "words"),
    [
        (-1, None, 1.0, "expected at least 0 replicas as the least, got -1"),
        (3, 2, 1.0, "expected at least 3 replicas as the most, as many as the least, got 2"),
        (1, None, -1.0, "expected at least 0 GPUs for a replica, got -1"),
        (1, None, nan, "expected at least 0 GPUs for a replica, got nan"),
    ],
)
def test_limits_that_contradict_themselves(
    least: int, most: int | None, gpus: float, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        PoolLimits(least, most, gpus)


def test_a_budget_is_not_negative() -> None:
    with pytest.raises(ValueError, match="expected at least 0 GPUs over all pools, got -4"):
        Limits(gpus=-4.0)


def test_a_pool_without_limits_keeps_one_replica() -> None:
    assert Limits().of("text") == PoolLimits(1, None, 1.0)
    assert [PoolLimits(1, 4).clip(count) for count in (0, 2, 9)] == [1, 2, 4]


def test_policies_have_names() -> None:
    assert list(POLICIES) == ["off", "paper", "modserve"]
    assert type(policy_named("paper")) is POLICIES["paper"]
    assert not policy_named("off").decide([], Limits(), 0.0)
    with pytest.raises(
        ValueError, match="expected a scaling policy of off, paper, modserve, got best"
    ):
        policy_named("best")


def test_no_time_of_the_policy_is_zero() -> None:
    with pytest.raises(ValueError, match="to be more than 0 s"):
        Tuning(down_s=0.0)
