"""Whatever arrives, fails or hangs: no policy breaks a limit, and none stays stuck afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modserve.scheduler.scaling.limits import Limits, Means, PoolLimits
from modserve.scheduler.scaling.modserve import ModServe
from modserve.scheduler.scaling.registry import POLICIES
from modserve.scheduler.scaling.tuning import Tuning

from .fleet import POOLS, Fleet

SEEDS = st.integers(min_value=0, max_value=2**32 - 1)
QUICK = Tuning(down_s=20.0, spare_s=5.0, switches=3, switch_window_s=30.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper", "modserve"])
@settings(max_examples=1000, deadline=None)
@given(seed=SEEDS)
def test_no_decision_breaks_a_limit_or_the_budget(name: str, seed: int) -> None:
    fleet = Fleet(POLICIES[name](), seed)
    for _ in range(30):
        fleet.chaos()


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(seed=SEEDS)
def test_switches_are_bounded_in_every_window_and_never_go_to_and_fro(seed: int) -> None:
    fleet = Fleet(ModServe(QUICK), seed)
    same_size = {name: PoolLimits(least=fleet.dice.randrange(2)) for name in POOLS}
    fleet.limits = Limits(same_size, fleet.dice.choice([None, 8.0]), fleet.limits.means)
    for member in fleet.members.values():
        member.serving, member.capacity, member.switch_s = 3, 100.0, 1.0
    for _ in range(60):
        fleet.chaos()
    for began_s, _ in fleet.switches:
        window = [one for at, one in fleet.switches if 0 <= at - began_s < QUICK.switch_window_s]
        assert len(window) <= QUICK.switches
        assert not {one.source for one in window} & {one.target for one in window}


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(seed=SEEDS, rate=st.sampled_from([0.0, 50.0, 250.0, 700.0]))
def test_after_any_chaos_a_calm_load_is_met(seed: int, rate: float) -> None:
    fleet = Fleet(ModServe(QUICK), seed)
    fleet.limits = replace(
        fleet.limits,
        pools={name: replace(fleet.limits.of(name), most=None) for name in POOLS},
        gpus=None,
        means=frozenset(Means),
    )
    for member in fleet.members.values():
        member.capacity, member.cold_start_s = 100.0, 5.0
    for _ in range(20):
        fleet.chaos()
    fleet.now += 300.0  # the longest wait after failed launches
    for _ in range(150):
        fleet.calm(rate)
    for name, member in fleet.members.items():
        assert member.serving >= fleet.limits.of(name).least
        assert member.serving * member.capacity >= rate
