"""Small clusters, random workloads, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from hypothesis import strategies as some

from modserve.scheduler.costs.costs import Costs, LinkCost
from modserve.scheduler.costs.encode import EncodeCost, PreprocessCost
from modserve.scheduler.costs.models import model
from modserve.scheduler.costs.text import TextCost
from modserve.scheduler.invariants import check
from modserve.scheduler.stage import ROLES
from modserve.scheduler.workload.arrivals import Arrival as Asked
from modserve.simulator.arrival import Arrival
from modserve.simulator.cluster import Cluster, Group, Scheduling
from modserve.simulator.outcome import Outcome
from modserve.simulator.simulation import Ran, Simulation

DECODER, CROSS = model("internvl-26b"), model("llama3.2-11b")
COSTS = Costs(
    preprocess=PreprocessCost(1e-3, 1e-9),
    encode=EncodeCost(2e-3, 1e-5),
    text=TextCost(3e-3, 4e-3, 3e-5, 1e-9, 2e-8, overlap=2.0),
)
LINK = LinkCost(1e-4, 1e-10)
LAYOUTS = (
    ("all",),
    ("encode", "text"),
    ("encode", "prefill", "decode"),
    ("all", "text", "encode"),
    ("encode", "all", "decode", "prefill"),
)
SIDES = (200, 448, 900, 1800)


@dataclass
class Story:
    """A run from its beginning to its end, with the core that it leaves behind."""

    ran: Ran
    run: Simulation
    outcomes: list[Outcome] = field(default_factory=list)


def cluster(
    layout: Sequence[str] = ("encode", "text"),
    *,
    spec: str = "internvl-26b",
    count: int = 1,
    kv_blocks: int = 4096,
    scheduling: Scheduling | None = None,
    **others: Any,
) -> Cluster:
    groups = tuple(
        Group(
            stages=ROLES[role],
            count=count,
            costs=COSTS,
            kv_blocks=0 if role == "encode" else kv_blocks,
            store_bytes=2**31 if role in ("encode", "all") else 0,
            staging_bytes=0 if role == "encode" else 2**33,
        )
        for role in layout
    )
    return Cluster(model(spec), groups, LINK, scheduling or Scheduling(), **others)


def arrivals(
    seed: int, count: int, *, rate: float = 20.0, images: float = 0.4, prompt: int = 800
) -> list[Arrival]:
    """`images`: the share of the requests that have some; `prompt`: the longest, without them."""
    dice, now, made = Random(seed), 0.0, []
    for _ in range(count):
        now += dice.expovariate(rate)
        sizes = [
            (dice.choice(SIDES), dice.choice(SIDES))
            for _ in range(dice.randint(1, 3) if dice.random() < images else 0)
        ]
        asked = Asked(now, dice.randint(1, prompt), dice.randint(1, 60), tuple(sizes))
        made.append(Arrival(asked))
    return made


def tell(one: Cluster, asked: Sequence[Arrival], *, seed: int = 0, checked: bool = False) -> Story:
    """`checked`: with the core's invariants after everything that happens."""
    outcomes: list[Outcome] = []
    run = Simulation(one, asked, seed=seed, watch=outcomes.append)
    while run.step():
        if checked:
            check(run.serving.core)
    return Story(run.close(), run, outcomes)


def by_steps(one: Cluster) -> Cluster:
    """The same one, with each step of a decode by itself."""
    return replace(one, scheduling=replace(one.scheduling, most_steps=1))


@some.composite
def clusters(draw: some.DrawFn) -> Cluster:
    return cluster(
        draw(some.sampled_from(LAYOUTS)),
        spec=draw(some.sampled_from(("internvl-26b", "llama3.2-11b"))),
        count=draw(some.integers(1, 3)),
        kv_blocks=draw(some.sampled_from((1100, 1300, 4096))),
        scheduling=Scheduling(
            bind=draw(some.sampled_from(("first", "all", "arrival"))),
            routing=draw(some.sampled_from(("finish", "pending", "round-robin"))),
            order=draw(some.sampled_from(("slack", "fifo"))),
            placing=draw(some.sampled_from(("spread", "inline"))),
            step_tokens=draw(some.sampled_from((64, 512, 100_000))),
            paced=draw(some.booleans()),
            image_cache_bytes=draw(some.sampled_from((0, 2**28, None))),
        ),
        cold_start_s=1.0,
        loss_every_s=draw(some.sampled_from((float("inf"), 5.0))),
    )
