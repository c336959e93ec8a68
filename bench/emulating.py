"""Emulated workers under a real controller, and the simulator's word on the same load.

They sleep as long as the costs of LLaVA-OneVision-7B on an A100 say, and the simulated cluster has
the same costs, blocks and budgets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from modserve.scheduler.costs.costs import Costs, LinkCost
from modserve.scheduler.costs.encode import EncodeCost
from modserve.scheduler.costs.gpus import gpu
from modserve.scheduler.costs.models import model
from modserve.scheduler.costs.roofline import PREPROCESS, text_cost
from modserve.worker.emulated.profile import Emulation

from .agreement import Compared
from .foretelling import Load
from .stand import MODEL, stand
from .twice import System

COSTS = Costs(
    preprocess=PREPROCESS,
    encode=EncodeCost(fixed_s=4e-3, token_s=2e-3),  # the tiny model's pictures have 10 to 40 tokens
    text=text_cost(model("llava-ov-7b").language, gpu("a100"), 1),
    link=LinkCost(latency_s=1e-3, byte_s=1e-10),
)
KV_BLOCKS = 4096
RATE_EACH = 2.0  # requests/s of a text worker, which computes most of the time then
LOAD = Load(0, 0.0, text_tokens="128-768", output_tokens="32-96")


@dataclass(frozen=True, slots=True)
class Wanted:
    workers: int  # 2 at least
    seconds: float  # of the load
    slower: float = 1.0  # all costs times so much, and the rate divided by it
    seed: int = 0

    def load(self, text_workers: int) -> Load:
        rate = RATE_EACH * text_workers / self.slower
        return replace(LOAD, requests=round(rate * self.seconds), rate=rate, seed=self.seed)


def text(wanted: Wanted) -> Compared:
    return emulated({"text": wanted.workers}, wanted.load(wanted.workers), wanted.slower)


def mixed(wanted: Wanted) -> Compared:
    """Half of the requests with pictures, a quarter of the workers for them."""
    encode = max(1, wanted.workers // 4)
    load = replace(wanted.load(wanted.workers - encode), image_share=0.5)
    return emulated({"encode": encode, "text": wanted.workers - encode}, load, wanted.slower)


def emulated(crew: Mapping[str, int], load: Load, slower: float = 1.0) -> Compared:
    """`crew`: how many workers of which role."""
    costs = _slowed(slower)
    title = " and ".join(f"{count} emulated {role} workers" for role, count in crew.items())
    with stand() as here:
        for role, count in crew.items():
            here.emulate(role, count, Emulation(costs, KV_BLOCKS))
        return System(MODEL, crew, costs, KV_BLOCKS).told(here.endpoint, load, title)


def _slowed(factor: float) -> Costs:
    preprocess, encode, text, link = COSTS.preprocess, COSTS.encode, COSTS.text, COSTS.link
    assert preprocess is not None and encode is not None and text is not None
    return Costs(
        preprocess=replace(
            preprocess,
            fixed_s=factor * preprocess.fixed_s,
            pixel_s=factor * preprocess.pixel_s,
        ),
        encode=replace(encode, fixed_s=factor * encode.fixed_s, token_s=factor * encode.token_s),
        text=replace(
            text,
            fixed_s=factor * text.fixed_s,
            weights_s=factor * text.weights_s,
            row_s=factor * text.row_s,
            pair_s=factor * text.pair_s,
            context_s=factor * text.context_s,
            decode_s=factor * text.decode_s,
        ),
        link=replace(link, latency_s=factor * link.latency_s, byte_s=factor * link.byte_s),
    )
