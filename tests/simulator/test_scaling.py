"""The scaling policies of the controller, on a cluster that is simulated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modserve.scheduler.scaling.limits import Limits, Means, PoolLimits
from modserve.scheduler.workload.arrivals import Arrival as Asked
from modserve.simulator.arrival import Arrival
from modserve.simulator.cluster import Cluster, Group, Scheduling
from modserve.simulator.outcome import Outcome

from .clusters import by_steps, cluster, tell


def burst(calm_s: float = 20.0) -> list[Arrival]:
    """A minute of more prompts than one worker can prefill, and as long a calm behind it."""
    many = [Arrival(Asked(index / 25, 2000, 10)) for index in range(750)]
    few = [Arrival(Asked(30.0 + index, 100, 5)) for index in range(int(calm_s))]
    return many + few


def scaled(policy: str, **limits: PoolLimits) -> Cluster:
    scheduling = Scheduling(scaling=policy, limits=Limits(limits, gpus=6))
    one = cluster(("encode", "text"), scheduling=scheduling, cold_start_s=2.0)
    return replace(one, switch_s=0.5)


@pytest.mark.slow
def test_a_burst_is_met_with_workers_and_nobody_is_lost() -> None:
    asked = burst()
    fixed, grown = tell(scaled("off"), asked), tell(scaled("modserve"), asked)
    assert all(out.finished for story in (fixed, grown) for out in story.outcomes)
    most = max(count for _, pool, count in grown.ran.workers if pool == "text")
    assert 1 < most <= 5
    assert _worst(grown.outcomes) < 0.5 * _worst(fixed.outcomes)
    assert grown.ran.gpu_s < 6 * grown.ran.virtual_s


@pytest.mark.slow
def test_workers_that_nobody_needs_leave() -> None:
    asked = burst(calm_s=200.0)
    ran = tell(scaled("modserve", encode=PoolLimits(least=0)), asked).ran
    counts = [count for _, pool, count in ran.workers if pool == "text"]
    assert counts[-1] < max(counts)


@pytest.mark.slow
def test_an_idle_encoder_changes_its_stages_where_nothing_can_be_launched() -> None:
    one = scaled("modserve")
    means = frozenset({Means.SWITCH})
    scheduling = replace(
        one.scheduling, limits=Limits({"encode": PoolLimits(least=0)}, means=means)
    )
    one = replace(one, scheduling=scheduling, groups=_more_encoders(one))
    ran = tell(one, burst()).ran
    assert max(count for _, pool, count in ran.workers if pool == "text") > 1
    assert min(count for _, pool, count in ran.workers[2:] if pool == "encode") < 3


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["modserve", "paper"])
def test_scaling_repeats_and_does_not_see_jumps(policy: str) -> None:
    one, asked = scaled(policy), burst()
    first, again, stepped = tell(one, asked), tell(one, asked), tell(by_steps(one), asked)
    assert first.outcomes == again.outcomes == stepped.outcomes
    assert first.ran == again.ran
    assert first.ran.workers == stepped.ran.workers


def _more_encoders(one: Cluster) -> tuple[Group, ...]:
    encode, text = one.groups
    return replace(encode, count=3), text


def _worst(outcomes: list[Outcome]) -> float:
    return max(out.ttft_s or 0.0 for out in outcomes)
