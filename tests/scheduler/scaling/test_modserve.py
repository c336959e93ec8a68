"""Our policy in a small world: it follows steps, rests when nothing changes, and switches."""

from __future__ import annotations

import pytest

from modserve.scheduler.scaling.decisions import Grow, Shrink, Switch
from modserve.scheduler.scaling.limits import Limits, Means, PoolLimits
from modserve.scheduler.scaling.loads import Attainment, PoolLoad, Traffic
from modserve.scheduler.scaling.modserve import ModServe
from modserve.scheduler.scaling.tuning import Tuning

from .world import World, constant, step

pytestmark = pytest.mark.slow
STEP = step(3.0, 12.0, since_s=300.0, until_s=900.0)  # images/s: 0.6 replicas, then 2.4


def test_a_step_of_image_traffic_is_served_within_a_minute_and_its_replicas_leave_again() -> None:
    world = World(ModServe(), Limits(), STEP, constant(6.0)).run(2000.0)
    assert world.serving("encode", 299.0) == 1
    first = next(at for at, one in world.log if isinstance(one, Grow) and at > 300.0)
    assert first <= 300.0 + 15.0  # seconds until it is noticed
    assert world.serving("encode", 300.0 + 15.0 + 30.0 + 15.0) >= 3  # one cold start later
    assert world.pool("encode").backlog < 10_000.0
    assert world.serving("encode", 900.0 + 2 * 120.0 + 60.0) <= 2
    assert world.serving("text", 1999.0) == 1


def test_a_step_of_image_traffic_leaves_the_text_pool_of_a_cross_attention_model_alone() -> None:
    world = World(ModServe(), Limits(), STEP, constant(3.0)).run(1000.0)
    assert {one.pool for _, one in world.log if isinstance(one, Grow)} == {"encode"}


@pytest.mark.parametrize("rate", [0.5, 4.6, 5.0, 14.0])
def test_constant_poisson_load_settles(rate: float) -> None:
    """At most four changes beyond those that the load asks for, within half an hour, wherever the
    load stands between two numbers of replicas."""
    world = World(ModServe(), Limits(), constant(rate), constant(8.0)).run(1800.0)
    grown = sum(one.replicas for _, one in world.log if isinstance(one, Grow))
    shrunk = sum(one.replicas for _, one in world.log if isinstance(one, Shrink))
    least = max(0, int(rate * 1000 / 5000))
    assert grown <= least + 4 and shrunk <= 4
    assert world.late_share < 0.05


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_only_switching_is_allowed_replicas_follow_the_load(seed: int) -> None:
    limits = Limits(means=frozenset({Means.SWITCH}))
    texts = step(5.0, 45.0, since_s=900.0, until_s=1400.0)
    images = step(3.0, 12.0, since_s=300.0, until_s=700.0)
    world = World(ModServe(), limits, images, texts, seed)
    for pool in world.pools:
        pool.serving = 2
    world.run(1500.0)
    assert {type(one) for _, one in world.log} == {Switch}
    assert world.serving("encode", 330.0) == 3 and world.serving("text", 330.0) == 1
    assert world.serving("encode", 1000.0) == 1 and world.serving("text", 1000.0) == 3
    assert len(world.log) <= 4


def test_a_spent_budget_goes_to_the_pool_that_would_be_later() -> None:
    limits = Limits(gpus=4.0)
    world = World(ModServe(), limits, STEP, constant(2.0))
    world.pool("text").serving = 3
    world.run(600.0)
    assert world.serving("encode", 400.0) == 3 and world.serving("text", 400.0) == 1
    assert all(pool.replicas <= 4 for pool in world.pools)


def test_replicas_of_another_size_are_stopped_for_their_gpus() -> None:
    limits = Limits({"encode": PoolLimits(gpus=1.0), "text": PoolLimits(gpus=2.0)}, gpus=5.0)
    world = World(ModServe(), limits, STEP, constant(2.0))
    world.pool("text").serving = 2
    world.run(600.0)
    assert not any(isinstance(one, Switch) for _, one in world.log)
    assert world.serving("encode", 500.0) == 3 and world.serving("text", 500.0) == 1


def load(name: str = "encode", **known: object) -> PoolLoad:
    filled: dict[str, object] = {
        "traffic": Traffic(100.0, 1.0, (50.0,) * 100),
        "backlog": 0.0,
        "capacity": 100.0,
        "serving": 1,
        "cold_start_s": 10.0,
    }
    return PoolLoad(name, **(filled | known))  # type: ignore[arg-type]


def replicas_launched(pool: PoolLoad, now: float = 100.0) -> int:
    policy = ModServe(Tuning(up_s=0.5))
    return sum(one.replicas for one in policy.decide([pool], Limits(), now) if type(one) is Grow)


def test_nothing_is_known_and_nothing_happens() -> None:
    empty = Traffic(0.0, 1.0)
    assert replicas_launched(load(traffic=empty)) == 0
    assert replicas_launched(load(traffic=empty, capacity=0.0)) == 0


def test_an_empty_pool_is_started_by_the_first_work_even_if_nobody_measured_it() -> None:
    none = Limits({"encode": PoolLimits(least=0)})
    waiting = load(traffic=Traffic(0.0, 1.0), serving=0, backlog=10.0)
    for pool in (waiting, load(traffic=Traffic(0.0, 1.0), serving=0, backlog=1.0, capacity=0.0)):
        assert [one.replicas for one in ModServe().decide([pool], none, 0.0)] == [1]
    idle = load(traffic=Traffic(0.0, 1.0), serving=0)
    assert not ModServe().decide([idle], none, 0.0)


def test_missed_slos_bring_one_replica_at_a_time_and_only_to_those_that_are_busy() -> None:
    missed = Attainment(0.9, 100, 20.0)
    policy = ModServe(Tuning(up_s=0.5))
    counts = []
    for second in range(60):
        pool = load(short=missed, busy=0.9)
        counts += [float(second)] if policy.decide([pool], Limits(), 100.0 + second) else []
    assert counts == [0.0, 30.0]  # a cold start of 10 s and a window of 20 s apart
    assert replicas_launched(load(short=missed, busy=0.1)) == 0
    assert replicas_launched(load(short=Attainment(0.5, 2, 20.0), busy=0.9)) == 0


def test_a_launch_that_does_not_arrive_is_given_up_and_replaced() -> None:
    busy = Traffic(100.0, 1.0, (150.0,) * 100)
    assert replicas_launched(load(traffic=busy, starting=(90.0,))) == 0
    decisions = ModServe().decide([load(traffic=busy, starting=(10.0,))], Limits(), 100.0)
    assert [type(one).__name__ for one in decisions] == ["Abandon", "Grow"]


def test_launches_that_fail_are_tried_again_ever_more_rarely() -> None:
    busy = Traffic(100.0, 1.0, (150.0,) * 100)
    assert replicas_launched(load(traffic=busy, failures=1, failed_s=89.0)) == 1
    assert replicas_launched(load(traffic=busy, failures=2, failed_s=89.0)) == 0
    assert replicas_launched(load(traffic=busy, failures=2, failed_s=79.0)) == 1
    assert replicas_launched(load(traffic=busy, failures=99, failed_s=-201.0)) == 1


def test_limits_that_were_lowered_hold_at_once() -> None:
    limits = Limits({"encode": PoolLimits(least=1, most=2)})
    (shrink,) = ModServe().decide([load(serving=5)], limits, 0.0)
    assert shrink == Shrink("encode", 3, "encode may have 2 replicas at most, got 5")


def test_a_reason_is_a_sentence_with_the_numbers() -> None:
    pool = load(traffic=Traffic(100.0, 1.0, (150.0,) * 100), backlog=30.0)
    (grow,) = ModServe().decide([pool], Limits(), 100.0)
    assert grow.reason == (
        "encode has 150 tokens/s, 150 expected, 165 in bursts, and 30 waiting; a replica sustains "
        "100: 2.03 needed, 1 serving, 0 starting"
    )
