"""The paper's rule by its formula, and what was chosen where the paper is silent."""

from __future__ import annotations

import pytest

from modserve.scheduler.scaling.decisions import Decision, Grow, Shrink
from modserve.scheduler.scaling.limits import Limits, PoolLimits
from modserve.scheduler.scaling.loads import Attainment, PoolLoad, Traffic
from modserve.scheduler.scaling.paper import PERIOD_S, Paper, formula
from modserve.scheduler.scaling.provisioning import (
    image_replicas,
    text_replicas,
    without_history,
)


def load(
    tokens_per_s: float = 0.0,
    capacity: float = 1000.0,
    serving: int = 1,
    name: str = "encode",
    starting: tuple[float, ...] = (),
    share: float | None = None,
) -> PoolLoad:
    short = None if share is None else Attainment(share, 200, 20.0)
    traffic = Traffic(0.0, 1.0, (tokens_per_s,) * 300)
    return PoolLoad(name, traffic, 0.0, capacity, serving, starting, short=short, cold_start_s=30.0)


def after_a_period(pools: list[PoolLoad], limits: Limits | None = None) -> list[Decision]:
    policy, limits = Paper(), limits or Limits()
    assert not policy.decide(pools, limits, 0.0)
    return policy.decide(pools, limits, PERIOD_S)


@pytest.mark.parametrize(
    ("tokens_per_s", "capacity", "replicas"),
    [(0, 1000, 0), (1, 1000, 1), (999, 1000, 1), (1000, 1000, 1), (1001, 1000, 2), (6404, 800, 9)],
)
def test_replicas_are_load_over_capacity_rounded_up(
    tokens_per_s: float, capacity: float, replicas: int
) -> None:
    assert formula(load(tokens_per_s, capacity)).replicas == replicas


def test_the_load_is_the_mean_of_five_minutes() -> None:
    half = Traffic(0.0, 1.0, (0.0,) * 150 + (4000.0,) * 150)
    assert formula(PoolLoad("encode", half, 0.0, 1000.0, 1)).replicas == 2


@pytest.mark.parametrize(
    ("serving", "tokens_per_s", "decision", "count"),
    [(1, 2500, Grow, 2), (3, 2500, None, 0), (5, 2500, Shrink, 2), (3, 0, Shrink, 2)],
)
def test_at_the_end_of_a_period_there_are_as_many_as_the_formula_says(
    serving: int, tokens_per_s: float, decision: type | None, count: int
) -> None:
    decisions = after_a_period([load(tokens_per_s, serving=serving)])
    assert [(type(one), one.replicas) for one in decisions] == (
        [(decision, count)] if decision else []
    )


def test_within_a_period_the_load_moves_nothing() -> None:
    policy = Paper()
    assert not policy.decide([load()], Limits(), 0.0)
    assert not policy.decide([load(9000)], Limits(), PERIOD_S - 1)


def test_an_attainment_below_its_threshold_adds_one_replica_at_once() -> None:
    policy = Paper()
    assert not policy.decide([load(share=0.99)], Limits(), 0.0)
    (grow,) = policy.decide([load(share=0.985)], Limits(), 1.0)
    assert grow == Grow(
        "encode",
        1,
        "98.5% of 200 requests of encode met their SLO within 20 s, less than 99%: one replica "
        "more",
    )
    assert not policy.decide([load(share=0.5, starting=(1.0,))], Limits(), 40.0)
    assert policy.decide([load(share=0.5, serving=2)], Limits(), 51.0)


def test_a_pool_whose_capacity_nobody_knows_keeps_its_replicas() -> None:
    assert not after_a_period([load(5000, capacity=0.0, serving=3)])


def test_a_lost_replica_is_launched_again() -> None:
    policy = Paper()
    policy.decide([load(serving=2)], Limits(), 0.0)
    assert [one.replicas for one in policy.decide([load(serving=1)], Limits(), 1.0)] == [1]


def test_limits_and_budget_hold_and_the_first_pool_takes_first() -> None:
    limits = Limits({"encode": PoolLimits(1, 3), "text": PoolLimits(gpus=2.0)}, gpus=7.0)
    pools = [load(9000), load(9000, name="text")]
    decisions = after_a_period(pools, limits)
    assert [(one, count) for one, count in _counts(decisions)] == [("encode", 2), ("text", 1)]


def _counts(decisions: list[Decision]) -> list[tuple[str, int]]:
    return [(one.pool, one.replicas) for one in decisions if isinstance(one, Grow)]


def test_provisioning_follows_littles_law() -> None:
    assert image_replicas(images_per_s=12.0, encode_s=0.31) == 4
    assert image_replicas(images_per_s=0.0, encode_s=0.31) == 1
    assert text_replicas(image_replicas=5, images_per_request=2.0) == 3
    assert without_history(PoolLimits(2)) == 4
    assert without_history(PoolLimits(2, most=3)) == 3
    assert without_history(PoolLimits(0)) == 2
    with pytest.raises(ValueError, match="expected more than 0 images per request, got 0"):
        text_replicas(5, 0.0)
