"""Thousands of random lives: nothing is lost, ended twice or owned twice, and nothing is stuck."""

from __future__ import annotations

import pytest

from modserve.scheduler.request import Phase

from .lives import Life
from .worlds import World

SEEDS = [
    pytest.param(range(500), id="500 seeds"),
    pytest.param(range(500, 1_500), id="1,000 others", marks=pytest.mark.wide),
]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("least", [True, False], ids=["least memory", "some memory"])
@pytest.mark.parametrize("faults", [False, True], ids=["peace", "faults"])
@pytest.mark.parametrize("switches", [False, True], ids=["roles stay", "switches"])
def test_every_request_ends_once_and_nothing_is_left(
    seeds: range, least: bool, faults: bool, switches: bool
) -> None:
    for seed in seeds:
        Life(seed, World(least, faults, switches)).live()


@pytest.mark.slow
@pytest.mark.parametrize("least", [True, False], ids=["least memory", "some memory"])
def test_whoever_was_admitted_by_prediction_ends_as_well(least: bool) -> None:
    refused = degraded = done = 0
    for seed in range(250):
        cluster = Life(seed, World(least, faults=True, switches=True, admission="predicted")).live()
        phases = [end.request.phase for ends in cluster.ended.values() for end in ends]
        refused += phases.count(Phase.REJECTED)
        done += phases.count(Phase.DONE)
        degraded += cluster.core.degraded
    assert min(refused, degraded) > 25
    assert done > 500
