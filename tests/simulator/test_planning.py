"""Plans for a small workload, with the real cost models of a small model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modserve.scheduler.costs.gpus import gpu
from modserve.scheduler.costs.models import model
from modserve.scheduler.workload.arrivals import Arrival
from modserve.simulator.demand import Demand
from modserve.simulator.goals import Cheapest, Fastest, changed, first_that_holds
from modserve.simulator.layout import Layout, gpus_of, read_layout
from modserve.simulator.planning import NoPlan, Plan, plan
from modserve.simulator.promises import Monolith, per_request
from modserve.simulator.shapes import Shape, shapes
from modserve.simulator.systems import system
from modserve.simulator.trials import Trial, Trials

SPEC, CARD = model("llava-ov-7b"), gpu("h100")
RATE = 20.0
ASKED = [
    Arrival(number / RATE, 300 + 40 * (number % 7), 4 + number % 5, ((600, 400),) * (number % 2))
    for number in range(1, 121)
]
WHICH = system("modserve")
FEW = ("all=1@1", "text=1@1,encode=1@1", "all=1@2", "all=1@4")  # shapes that are enough here


def demand(factor: float = 5.0) -> Demand:
    return Demand(SPEC, CARD, ASKED, per_request(Monolith(SPEC, CARD), factor), WHICH.scheduling)


def trials(factor: float = 5.0) -> Trials:
    promised = per_request(Monolith(SPEC, CARD), factor)
    return Trials(WHICH, SPEC, CARD, ASKED, promised, 0.95, tolerance=0.2)


def some_shapes(of: Demand) -> list[Shape]:
    def ones(shape: Shape) -> Layout:
        return tuple(replace(part, count=1) for part in shape.layout(shape.least))

    wanted = [read_layout(one) for one in FEW]
    return [shape for shape in shapes(of) if ones(shape) in wanted]


def planned(goal: Callable[[Demand], Cheapest | Fastest], factor: float = 5.0) -> Plan:
    of, full = demand(factor), trials(factor)
    return plan(goal(of), of, some_shapes(of), replace(full, asked=ASKED[:60], seen={}), full)


def test_the_best_use_of_gpus_is_no_worse_than_any_layout_that_was_tried() -> None:
    made = planned(lambda of: Fastest(of, 4, RATE))
    assert made.best.gpus <= 4
    assert made.others
    assert all(one.scale <= made.best.scale for one in made.others)
    assert made.best in (made.whole, made.split)
    full = trials()
    assert full.at(made.best.layout, made.best.scale).holds
    for fixed in ("all=4@1", "all=2@2", "all=1@4"):
        assert not full.at(read_layout(fixed), made.best.scale * 1.25).holds


def test_the_cheapest_holds_and_one_worker_less_does_not() -> None:
    scale = 4.0
    made = planned(lambda of: Cheapest(of, scale, scale * RATE))
    assert made.best.holds
    assert made.best.attainment >= 0.95
    assert all(one.gpus >= made.best.gpus for one in made.others)
    fewer = [one.trial for one in made.changes if one.by < 0]
    more = [one.trial for one in made.changes if one.by > 0]
    assert fewer
    assert all(one is not None and not one.holds for one in fewer)
    assert all(one is not None and one.gpus > made.best.gpus for one in more)


def test_the_same_workload_gives_the_same_plan() -> None:
    first, again = (planned(lambda of: Cheapest(of, 2.0, 2 * RATE)) for _ in range(2))
    assert first == again


def test_what_an_idle_cluster_does_not_keep_is_refused() -> None:
    with pytest.raises(NoPlan, match=r"expected an SLO that an idle cluster keeps for 95\.0%"):
        planned(lambda of: Cheapest(of, 1.0, RATE), factor=0.2)


def test_a_rate_beyond_every_cluster_is_refused() -> None:
    with pytest.raises(NoPlan, match=r"expected a rate that 1024 h100 serve, got 2e\+07"):
        planned(lambda of: Cheapest(of, 1e6, 1e6 * RATE))


def test_a_model_that_fits_nowhere_is_refused() -> None:
    giant = replace(SPEC, language=replace(SPEC.language, hidden=2**17))
    promised = per_request(Monolith(SPEC, CARD), 5.0)
    of = Demand(giant, CARD, ASKED, promised, WHICH.scheduling)
    with pytest.raises(NoPlan, match=r"expected weights of llava-ov-7b .* that fit on 4 h100, got"):
        plan(Fastest(of, 8, RATE), of, shapes(of), trials(), trials())


def test_too_few_gpus_are_refused() -> None:
    spec = model("llava-ov-72b")
    promised = per_request(Monolith(spec, CARD), 5.0)
    of = Demand(spec, CARD, ASKED, promised, WHICH.scheduling)
    with pytest.raises(NoPlan, match="expected at least 4 GPUs for llava-ov-72b on h100, got 2"):
        plan(Fastest(of, 2, RATE), of, shapes(of), trials(), trials())


def test_the_estimate_counts_workers_and_a_specialist_helps() -> None:
    of = demand()
    alone, two = (of.rate(read_layout(one)) for one in ("all=4@1", "all=8@1"))
    assert two == pytest.approx(2 * alone)
    helped = of.rate(read_layout("all=4@1,encode=1@1"))
    assert alone < helped < two
    few, many = (of.rate(read_layout(f"text=2@1,encode={count}@1")) for count in (100, 200))
    assert few == many  # the text workers are the narrow place


def test_shapes_are_of_every_family_and_use_what_they_get() -> None:
    found = shapes(demand())
    assert {"all", "text+encode"} <= {"+".join(shape.family) for shape in found}
    assert len({shape.family for shape in found}) == 6
    for shape in found:
        layouts = list(shape.layouts(1, 24))
        assert layouts
        assert all(gpus_of(layout) <= 24 for layout in layouts)
    assert all("encode" not in shape.family for shape in shapes(texts()))


def texts() -> Demand:
    asked = [replace(one, images=()) for one in ASKED]
    promised = per_request(Monolith(SPEC, CARD), 5.0)
    return Demand(SPEC, CARD, asked, promised, WHICH.scheduling)


@settings(deadline=None)  # the machine is shared
@given(some.integers(1, 60), some.data())
def test_the_first_that_holds_is_found_from_anywhere(count: int, data: some.DataObject) -> None:
    ladder = [read_layout(f"all={number + 1}@1") for number in range(count)]
    start = data.draw(some.integers(0, count - 1))
    least = data.draw(some.integers(1, count + 1))
    found = first_that_holds(
        ladder, start, lambda one: Trial(one, 1.0, 1.0, holds=gpus_of(one) >= least)
    )
    assert (found is None) is (least > count)
    assert found is None or found.gpus == least


def test_a_part_keeps_a_worker() -> None:
    layout = read_layout("text=2@4,encode=1@1")
    assert changed(layout, 0, -1) == read_layout("text=1@4,encode=1@1")
    assert changed(layout, 1, -1) is None
