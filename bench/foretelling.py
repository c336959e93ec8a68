"""One load, sent to a controller of this machine and told to the simulator."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from modserve.client import AsyncClient
from modserve.client.load.asks import Ask, Maker
from modserve.client.load.driving import drive
from modserve.client.load.endpoints import ModserveEndpoint
from modserve.client.load.pictures import Pictures
from modserve.client.load.prompts import Prompts, read_tokenizer
from modserve.client.load.record import Record
from modserve.controller.options import Parts
from modserve.scheduler.costs.configs import spec_of
from modserve.scheduler.costs.costs import Costs, LinkCost
from modserve.scheduler.costs.spec import ModelSpec
from modserve.scheduler.slo.classes import STANDARD
from modserve.scheduler.slo.slo import slo_of
from modserve.scheduler.stage import Stage, stages_of
from modserve.scheduler.workload.arrivals import Arrival as Asked
from modserve.scheduler.workload.arrivals import Mix, times
from modserve.scheduler.workload.draws import counts, lengths, sizes
from modserve.simulator.arrival import Arrival
from modserve.simulator.cluster import TEXT, Cluster, Counted, Group
from modserve.simulator.outcome import Outcome
from modserve.simulator.simulation import simulate
from modserve.worker.emulated.images import LANES

PATIENCE_S = 120.0
LEAD_TOKENS = 7  # that the tiny model's chat template has in front of the first image


@dataclass(frozen=True, slots=True)
class Load:
    """Poisson arrivals; the same for the same seed. Texts as `msctl bench` writes them."""

    requests: int
    rate: float  # requests/s
    text_tokens: str
    output_tokens: str
    image_share: float = 0.0
    images: str = "1:0.7,2:0.3"
    size: str = "lognormal:560,1148"
    seed: int = 0

    def drawn(self) -> list[Asked]:
        dice = Random(self.seed)
        mix = Mix(
            lengths(self.text_tokens),
            lengths(self.output_tokens),
            self.image_share,
            counts(self.images),
            sizes(self.size),
        )
        return mix.draw(times(self.requests, rate=self.rate, burstiness=1.0, dice=dice), dice)


def send(
    endpoint: str, model: Path, asked: Sequence[Asked], seed: int, at_once: int | None = None
) -> list[Record]:
    """Every request at its time, open loop unless only so many may be under way. All are made
    before the first one is sent."""
    maker = Maker(Prompts(read_tokenizer(model), seed=seed), Pictures(seed=seed))
    asks = [
        maker.ask(
            f"{seed} {number}",
            at_s=one.at_s,
            text_tokens=one.text_tokens,
            output_tokens=one.output_tokens,
            sizes=one.images,
        )
        for number, one in enumerate(asked)
    ]
    gc.collect()
    gc.freeze()
    try:
        return asyncio.run(_send(endpoint, asks, at_once))
    finally:
        gc.unfreeze()


async def _send(endpoint: str, asks: Sequence[Ask], at_once: int | None) -> list[Record]:
    records: list[Record] = []
    async with AsyncClient(endpoint, timeout_s=PATIENCE_S) as client:
        target = ModserveEndpoint(client, ignore_eos=True)
        await drive(target, asks, records, max_concurrency=at_once, timeout_s=PATIENCE_S)
    return records


def replica(role: str, count: int, costs: Costs, kv_blocks: int) -> Group:
    """Workers as an emulated one is, or a real one of this machine."""
    stages, given = stages_of(role.split("+")), Parts()
    return Group(
        stages,
        count,
        costs,
        threads=LANES,
        kv_blocks=kv_blocks if stages & TEXT else 0,
        store_bytes=given.store_bytes if Stage.ENCODE in stages else 0,
        staging_bytes=given.staging_bytes if stages & TEXT else 0,
    )


def foretell(
    model: Path,
    groups: Sequence[Group],
    link: LinkCost,
    asked: Sequence[Asked],
    records: Sequence[Record],
    *,
    overhead_s: float = 0.0,
) -> list[Outcome]:
    """The load as it was really sent: at the moments of the records, with their prompts' lengths,
    which the chat template has made longer."""
    spec = spec_of(json.loads((model / "config.json").read_text()))
    cluster = Cluster(
        spec,
        tuple(groups),
        link,
        counted=Counted.EMBEDDED,
        overhead_s=overhead_s,
        lead_tokens=LEAD_TOKENS,
    )
    outcomes: list[Outcome] = []
    arrivals = [_arrival(spec, one, record) for one, record in zip(asked, records, strict=True)]
    simulate(cluster, arrivals, watch=outcomes.append)
    return outcomes


def _arrival(spec: ModelSpec, asked: Asked, record: Record) -> Arrival:
    shapes = [spec.image(*size, len(asked.images)) for size in asked.images]
    text_tokens = record.prompt_tokens - sum(shape.span for shape in shapes)
    sent = Asked(record.sent_s, text_tokens, record.output_tokens, asked.images)
    return Arrival(sent, slo_of(STANDARD, sum(shape.rows for shape in shapes)))
