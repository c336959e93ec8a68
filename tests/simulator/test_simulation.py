"""Whole runs: nobody is lost, the books close, nothing is faster than it can be, runs repeat."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modserve.scheduler.costs.roofline import prompt_work
from modserve.scheduler.costs.text import TextWork
from modserve.scheduler.workload.arrivals import Arrival as Asked
from modserve.simulator.arrival import Arrival
from modserve.simulator.cluster import Cluster, Scheduling
from modserve.simulator.outcome import Outcome
from modserve.simulator.simulation import Simulation, simulate

from .clusters import COSTS, LAYOUTS, LINK, arrivals, by_steps, cluster, clusters, tell

FEW = settings(max_examples=20, deadline=None)


@pytest.mark.slow
@FEW
@given(one=clusters(), seed=some.integers(0, 10**6), count=some.integers(1, 15))
def test_every_request_ends_once_and_the_books_close(one: Cluster, seed: int, count: int) -> None:
    asked = arrivals(seed, count)
    story = tell(one, asked, checked=True)
    assert sorted(out.arrival_s for out in story.outcomes) == [each.asked.at_s for each in asked]
    assert all(out.finished for out in story.outcomes)
    wanted = sorted((each.asked.at_s, each.asked.output_tokens) for each in asked)
    assert sorted((out.arrival_s, out.output_tokens) for out in story.outcomes) == wanted
    core = story.run.serving.core
    assert not core.requests and not len(core.queue) and not len(core.images.waiting)
    for replica in core.replicas.values():
        assert replica.idle
        assert replica.ledger.kv_blocks.booked == replica.ledger.staging_bytes.booked == 0
    for worker in story.run.serving.crew.values():
        assert worker.text is None or not (worker.text.used or worker.text.sequences)


@pytest.mark.slow
@FEW
@given(one=clusters(), seed=some.integers(0, 10**6), count=some.integers(1, 30))
def test_jumps_tell_the_same_story_as_steps(one: Cluster, seed: int, count: int) -> None:
    asked = arrivals(seed, count, rate=8.0)
    jumped, stepped = tell(one, asked), tell(by_steps(one), asked)
    assert jumped.outcomes == stepped.outcomes
    assert replace(jumped.ran, events=0) == replace(stepped.ran, events=0)


@pytest.mark.slow
@FEW
@given(blocks=some.integers(8, 60), layout=some.sampled_from(LAYOUTS), seed=some.integers(0, 99))
def test_jumps_tell_the_same_story_where_memory_is_short(
    blocks: int, layout: tuple[str, ...], seed: int
) -> None:
    one, asked = cluster(layout, kv_blocks=blocks), arrivals(seed, 30, images=0.0, prompt=40)
    jumped, stepped = tell(one, asked), tell(by_steps(one), asked)
    assert jumped.outcomes == stepped.outcomes
    assert all(out.finished for out in jumped.outcomes)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_jumps_are_worth_it(layout: tuple[str, ...]) -> None:
    one, asked = cluster(layout), arrivals(1, 30, rate=2.0)
    assert tell(one, asked).ran.events < 0.6 * tell(by_steps(one), asked).ran.events


def test_blocks_are_counted_from_the_first_request_on_that_is_large() -> None:
    """Until then a step ends for a decode when its answer does; and both stories are the same."""
    large = Arrival(Asked(1.0, 600 * 16, 5))
    asked = [Arrival(Asked(0.0, 10, 300)), Arrival(Asked(0.1, 10, 300)), large]
    one = cluster(kv_blocks=1000)
    jumped, stepped = tell(one, asked), tell(by_steps(one), asked)
    assert jumped.outcomes == stepped.outcomes
    assert all(worker.text.counts for worker in jumped.run.serving.crew.values() if worker.text)
    few = tell(one, asked[:2])
    assert not any(worker.text.counts for worker in few.run.serving.crew.values() if worker.text)
    assert few.ran.events < jumped.ran.events / 2


@pytest.mark.slow
@FEW
@given(one=clusters(), seed=some.integers(0, 10**6))
def test_no_first_token_comes_before_its_work_is_done(one: Cluster, seed: int) -> None:
    for out in tell(one, arrivals(seed, 10)).outcomes:
        assert out.ttft_s is not None and COSTS.text is not None
        rows = out.prompt_tokens * COSTS.text.row_s
        assert out.ttft_s >= COSTS.text.fixed_s + max(rows, COSTS.text.weights_s)
        if out.images:
            assert COSTS.encode is not None and COSTS.preprocess is not None
            assert out.ttft_s >= COSTS.preprocess.fixed_s + COSTS.encode.seconds(256)


def test_a_text_alone_takes_what_its_costs_say() -> None:
    text = COSTS.text
    assert text is not None
    [out] = tell(cluster(), [Arrival(Asked(1.0, 300, 4))]).outcomes
    assert out.ttft_s == pytest.approx(text.seconds(TextWork([(0, 300)])))
    decodes = [text.seconds(TextWork((), 1, 301 + token)) for token in range(3)]
    assert out.tpot_s == pytest.approx(sum(decodes) / 3)


def test_an_image_alone_is_preprocessed_encoded_pulled_and_prefilled() -> None:
    one = cluster(spec="llama3.2-11b")
    spec, costs = one.spec, COSTS
    assert costs.preprocess is not None and costs.encode is not None and costs.text is not None
    [out] = tell(one, [Arrival(Asked(0.0, 99, 1, ((640, 480),)))]).outcomes
    shape = spec.image(640, 480)
    assert out.ttft_s == pytest.approx(
        costs.preprocess.seconds(640 * 480)
        + costs.encode.seconds(spec.encode_tokens(shape))
        + LINK.seconds(spec.embedding_bytes(shape.rows))
        + costs.text.seconds(prompt_work(spec, 99 + shape.span, shape.rows))
    )


def test_kv_travels_while_the_prompt_is_prefilled() -> None:
    """Chunk by chunk: the second token waits for the last chunk's transfer alone."""
    slow = 1e-7
    one = replace(
        cluster(("prefill", "decode"), scheduling=Scheduling(step_tokens=100)),
        link=replace(LINK, byte_s=slow),
    )
    [out] = tell(one, [Arrival(Asked(0.0, 1000, 2))]).outcomes
    assert out.first_token_s is not None and out.last_token_s is not None
    size = one.spec.language.kv_bytes
    everything, chunk = slow * size * 1000, slow * size * 100
    gap = out.last_token_s - out.first_token_s
    assert chunk < gap < everything


def test_the_first_image_is_prefilled_while_the_second_is_encoded() -> None:
    asked = [Arrival(Asked(0.0, 10, 1, ((1800, 900), (1800, 900))))]
    alone = Scheduling(step_image_tokens=1)  # an image at a time
    first = tell(cluster(scheduling=replace(alone, bind="first")), asked).outcomes
    last = tell(cluster(scheduling=replace(alone, bind="all")), asked).outcomes
    assert _ttft(first) < _ttft(last)


@pytest.mark.parametrize("seed", range(3))
def test_more_workers_serve_everybody_sooner(seed: int) -> None:
    asked = arrivals(seed, 60, rate=40.0)
    few, many = tell(cluster(count=1), asked), tell(cluster(count=4), asked)
    assert all(out.finished for story in (few, many) for out in story.outcomes)
    assert sum(map(_waited, many.outcomes)) < sum(map(_waited, few.outcomes))


def test_the_same_seed_tells_the_same_story_and_another_one_another() -> None:
    one, asked = cluster(count=3, loss_every_s=1.5, cold_start_s=1.0), arrivals(5, 40)
    first, again, other = (tell(one, asked, seed=seed) for seed in (7, 7, 8))
    assert repr(first.outcomes) == repr(again.outcomes)
    assert first.ran == again.ran
    assert first.outcomes != other.outcomes


def test_workers_that_are_alike_are_given_alike() -> None:
    """Their speeds differ by what they happened to compute, which is nobody's advantage."""
    asked = arrivals(2, 200, rate=24.0, images=0.0)
    told = {
        routing: tell(cluster(("text",), count=4, scheduling=Scheduling(routing=routing)), asked)
        for routing in ("finish", "pending")
    }
    assert told["finish"].outcomes == told["pending"].outcomes


@pytest.mark.parametrize("role", ["encode", "text"])
def test_a_worker_that_is_lost_loses_nobody(role: str) -> None:
    outcomes: list[Outcome] = []
    story = tell(cluster(count=2), asked := arrivals(3, 40))
    assert all(out.finished for out in story.outcomes)
    run = Simulation(cluster(count=2), asked, watch=outcomes.append)
    while run.agenda.now < 1.0:
        run.step()
    run.serving.lose(next(name for name in run.serving.crew if name.startswith(role)))
    while run.step():
        pass
    assert len(outcomes) == 40 and all(out.finished for out in outcomes)
    assert {out.arrival_s: out.output_tokens for out in outcomes} == {
        out.arrival_s: out.output_tokens for out in story.outcomes
    }


def test_what_fits_nowhere_is_refused() -> None:
    [out] = tell(cluster(kv_blocks=10), [Arrival(Asked(0.0, 500, 5))]).outcomes
    assert out.refused and not out.finished and out.ttft_s is None


def test_a_run_that_is_cut_off_tells_of_what_is_open() -> None:
    outcomes: list[Outcome] = []
    asked = [Arrival(Asked(0.0, 10, 5)), Arrival(Asked(0.0, 10, 5000))]
    ran = simulate(cluster(), asked, watch=outcomes.append, until_s=2.0)
    assert [out.finished for out in outcomes] == [True, False]
    assert not outcomes[1].refused and outcomes[1].first_token_s is not None
    assert ran.virtual_s <= 2.0


def test_arrivals_out_of_order_are_refused() -> None:
    asked = [Arrival(Asked(1.0, 10, 5)), Arrival(Asked(0.5, 10, 5))]
    with pytest.raises(ValueError, match="expected arrivals in the order of their times"):
        tell(cluster(), asked)


def test_an_image_that_comes_again_is_encoded_once() -> None:
    scheduling = Scheduling(image_cache_bytes=None)
    asked = [
        Arrival(Asked(float(n), 10, 5, ((900, 900),)), contents=("the same",)) for n in range(3)
    ]
    first, *others = tell(cluster(scheduling=scheduling), asked).outcomes
    assert all(_ttft([one]) < _ttft([first]) for one in others)


def test_gpu_seconds_and_utilisation_add_up() -> None:
    ran = tell(cluster(count=2), arrivals(1, 30)).ran
    assert ran.gpu_s == pytest.approx(4 * ran.virtual_s)
    assert all(0 < share < 1 for share in ran.utilisation.values())
    assert ran.workers[-1][1:] == ("text", 2)


def _ttft(outcomes: list[Outcome]) -> float:
    [ttft_s] = [out.ttft_s for out in outcomes]
    assert ttft_s is not None
    return ttft_s


def _waited(out: Outcome) -> float:
    return (out.last_token_s or 0.0) - out.arrival_s
