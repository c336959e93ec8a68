"""The paper's rule and ours on the same loads; `pytest -s` prints the table."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import cos, pi
from random import Random

import pytest

from modserve.scheduler.scaling.decisions import Decision, Policy
from modserve.scheduler.scaling.limits import Limits
from modserve.scheduler.scaling.loads import PoolLoad
from modserve.scheduler.scaling.paper import Paper
from modserve.scheduler.scaling.registry import POLICIES

from .world import Rate, World, constant, step

SECONDS = 3600.0


def bursts(low: float, high: float, low_s: float, high_s: float, seed: int) -> Rate:
    """A Poisson process with two rates, each for an exponential time (MMPP)."""
    dice, edges = Random(seed), [0.0]
    while edges[-1] < SECONDS:
        mean_s = low_s if len(edges) % 2 else high_s
        edges.append(edges[-1] + dice.expovariate(1 / mean_s))
    return lambda now: high if bisect(edges, now) % 2 == 0 else low


def day(low: float, high: float) -> Rate:
    """From night to noon and back."""
    return lambda now: low + (high - low) * (1 - cos(2 * pi * now / SECONDS)) / 2


LOADS: dict[str, tuple[Rate, Rate]] = {  # requests/s with an image, and without
    "constant": (constant(4.0), constant(10.0)),
    "step": (step(4.0, 8.0, since_s=900.0, until_s=2100.0), constant(10.0)),
    "bursts": (bursts(3.0, 20.0, low_s=240.0, high_s=60.0, seed=3), constant(10.0)),
    "day": (day(2.0, 14.0), day(5.0, 25.0)),
}


class Derated:
    """The paper's rule with so much less capacity that it costs about as much as ours."""

    def __init__(self, share: float) -> None:
        self._share, self._paper = share, Paper()

    def decide(self, pools: Sequence[PoolLoad], limits: Limits, now: float) -> list[Decision]:
        derated = [replace(pool, capacity=pool.capacity * self._share) for pool in pools]
        return self._paper.decide(derated, limits, now)


CONTENDERS: dict[str, Callable[[], Policy]] = {
    **POLICIES,
    "paper x 0.7": lambda: Derated(0.7),
    "paper x 0.4": lambda: Derated(0.4),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADS)
def test_ours_is_late_less_often_than_the_paper_s(name: str) -> None:
    images, texts = LOADS[name]
    worlds = {
        policy: World(fresh(), Limits(), images, texts).run(SECONDS)
        for policy, fresh in CONTENDERS.items()
    }
    for policy, world in worlds.items():
        print(
            f"\n{name:9} {policy:11} {world.replica_s:8,.0f} replica-seconds, late "
            f"{world.late_share:5.1%} of the time, {len(world.log):3} decisions",
            end="",
        )
    assert worlds["modserve"].late_share <= worlds["paper"].late_share
    assert worlds["modserve"].late_share < 0.1
    assert worlds["modserve"].replica_s < 2 * worlds["paper"].replica_s
