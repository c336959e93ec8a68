"""What requests are promised, in multiples of what they take alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modserve.scheduler.costs.costs import LinkCost
from modserve.scheduler.costs.gpus import GPUS, gpu
from modserve.scheduler.costs.models import MODELS, model
from modserve.scheduler.stage import ROLES
from modserve.scheduler.workload.arrivals import Arrival
from modserve.simulator.arrival import Arrival as Simulated
from modserve.simulator.cluster import Cluster, Scheduling, group
from modserve.simulator.outcome import Outcome
from modserve.simulator.promises import (
    IMAGE_REQUEST,
    TEXT_REQUEST,
    Monolith,
    kept_alone,
    literal,
    per_request,
    promise,
)
from modserve.simulator.simulation import simulate

LLAMA = Monolith(model("llama3.2-11b"), gpu("a100"))
sizes = some.tuples(some.integers(1, 2000), some.integers(1, 2000))
asked = some.builds(
    Arrival,
    at_s=some.just(0.0),
    text_tokens=some.integers(1, 8000),
    output_tokens=some.integers(1, 2000),
    images=some.lists(sizes, max_size=3).map(tuple),
)


@settings(deadline=None)  # the machine is shared
@given(asked, some.floats(1, 100))
def test_a_promise_is_a_multiple_of_the_requests_own_time(request: Arrival, factor: float) -> None:
    alone, slo = LLAMA.alone(request), per_request(LLAMA, factor)(request)
    assert slo.ttft_s == pytest.approx(factor * alone.ttft_s)
    assert slo.tpot_s == pytest.approx(factor * alone.tpot_s)
    assert slo.image_s == pytest.approx(factor * alone.image_s)
    assert (slo.image_s > 0) is bool(request.images)
    assert kept_alone(request, slo, LLAMA)


@settings(deadline=None)  # the machine is shared
@given(asked, asked)
def test_the_literal_promise_asks_for_images_alone(one: Arrival, other: Arrival) -> None:
    promised = literal(LLAMA, 3.0)
    assert (promised(one) == promised(other)) is (bool(one.images) is bool(other.images))


def test_the_literal_promise_is_of_two_requests_of_the_papers_kind() -> None:
    promised = literal(LLAMA, 2.0)
    for request in (TEXT_REQUEST, IMAGE_REQUEST):
        assert promised(request) == per_request(LLAMA, 2.0)(request)
    long = Arrival(0.0, 20_000, 10)
    assert not kept_alone(long, promised(long), LLAMA)
    assert kept_alone(long, per_request(LLAMA, 2.0)(long), LLAMA)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("card", GPUS)
def test_every_model_has_a_monolith_on_every_gpu(name: str, card: str) -> None:
    alone = Monolith(model(name), gpu(card)).alone(IMAGE_REQUEST)
    assert 0.02 < alone.image_s < 0.3
    assert 0.005 < alone.prefill_s < 3
    assert 0.002 < alone.tpot_s < 0.1


def test_time_alone_grows_with_everything() -> None:
    spec = model("internvl-26b")
    small = Arrival(0.0, 100, 10, ((448, 448),))
    alone = Monolith(spec, gpu("a100")).alone
    assert alone(small).ttft_s < alone(Arrival(0.0, 900, 10, ((448, 448),))).ttft_s
    assert alone(small).image_s < alone(Arrival(0.0, 100, 10, ((448, 448),) * 2)).image_s
    assert alone(small).image_s < alone(Arrival(0.0, 100, 10, ((896, 896),))).image_s
    assert alone(small).tpot_s < alone(Arrival(0.0, 100, 900, ((448, 448),))).tpot_s


def test_a_promise_that_is_none_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="expected an SLO of per-request or literal, got 'p99'"):
        promise("p99")
    with pytest.raises(ValueError, match=r"expected weights of llama3\.2-90b that fit on 1 a100"):
        Monolith(model("llama3.2-90b"), gpu("a100"), tp=1)


@pytest.mark.parametrize("name", MODELS)
def test_a_monolith_that_is_simulated_takes_as_long(name: str) -> None:
    """Alone on it, with a prompt in one step and its images in one batch."""
    spec, card = model(name), gpu("a100")
    scheduling = Scheduling(bind="all", step_tokens=10**6, paced=False, step_image_tokens=10**6)
    cluster = Cluster(spec, (group(spec, card, ROLES["all"], 1, 4),), LinkCost(0, 0), scheduling)
    for images in ((), ((500, 400),), ((640, 480),) * 3):
        asked = Arrival(0.0, 700, 200, images)
        (outcome,) = outcomes(cluster, asked)
        alone = Monolith(spec, card).alone(asked)
        assert outcome.ttft_s == pytest.approx(alone.ttft_s, rel=0.03)
        assert outcome.tpot_s == pytest.approx(alone.tpot_s, rel=0.01)


def outcomes(cluster: Cluster, asked: Arrival) -> list[Outcome]:
    told: list[Outcome] = []
    simulate(cluster, [Simulated(asked)], watch=told.append)
    return told
