"""The systems that are compared, by name. Each is data: how it divides GPUs, how it schedules.

All run the same core, with other policies: nothing stands in for a system silently. Workers do not
tell a simulated core how fast they are, so `finish` and `pending` differ by caches alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from ..scheduler.costs.gpus import Gpu, Link
from ..scheduler.costs.roofline import link_cost
from ..scheduler.costs.spec import ModelSpec
from ..scheduler.scaling.limits import Limits, Means, PoolLimits
from ..scheduler.stage import role_of
from .cluster import Cluster, Scheduling, group
from .layout import Layout, Share, gpus_of
from .tuned import GPU, tuned

EVERY_MEANS = frozenset(Means)


@dataclass(frozen=True, slots=True)
class System:
    name: str
    shares: Sequence[Share]  # of any number of GPUs, where nothing better is known: tuned.py
    scheduling: Scheduling
    scaling: str = "paper"  # the policy, where it scales by itself: scheduler/scaling/registry.py
    means: frozenset[Means] = EVERY_MEANS  # of scaling
    split_of: str = ""  # the system whose tuned split it has; its own where it is nobody's

    def shares_for(self, gpus: int, model: str, gpu: str, workload: str | None) -> Sequence[Share]:
        """Tuned ones where there are some, and enough GPUs for them. `workload`: the name of a
        trace's format."""
        found = tuned(self.split_of or self.name, model, workload or "") if gpu == GPU else None
        least = sum(one.tp for one in found or ())
        return self.shares if found is None or gpus < least else found


# 20 text workers of four GPUs and 48 encoders of one on 128 (ModServe, SoCC 2025, section 5.2)
PAPERS_SPLIT = (Share("text", 80 / 128, 4), Share("encode", 48 / 128, 1))
MONOLITHS = (Share("all", 1.0, 4),)
PREFILL_AND_DECODE = (Share("encode+prefill", 96 / 128, 4), Share("decode", 32 / 128, 4))
THREE_STAGES = (
    Share("prefill", 48 / 128, 4),
    Share("decode", 32 / 128, 4),
    Share("encode", 48 / 128, 1),
)

WHOLE = 2**20  # tokens: prompts are not cut, and all images that wait are one batch

# As servers were in 2024: a step computes whole prompts, whatever decodes wait for, first come,
# first served, and requests go from worker to worker in turn. Neither is a picture that came before
# known again.
PLAIN = Scheduling(
    bind="all",
    routing="round-robin",
    order="fifo",
    step_tokens=WHOLE,
    paced=False,
    step_image_tokens=WHOLE,
    image_cache_bytes=0,
)

# The paper's rules: images of one request spread over encoders by pending image tokens, text by
# pending tokens once all images are ready, shorter prompts first, nothing cached. Its formula for
# "shorter first" is not published: ours (aging.py) is taken, and so are our chunks.
PAPER = Scheduling(bind="all", routing="pending", image_cache_bytes=0)
OURS = Scheduling(bind="first", image_cache_bytes=None)

NAMED = (
    # Everything inline: the worker that prefills a request encodes its images before. A text that
    # comes while images are encoded joins the next step; vLLM of that time would have made it wait
    # for the images that came meanwhile, too.
    System("monolith-2024", MONOLITHS, replace(PLAIN, placing="inline")),
    # Chunked prefill, a budget for encode batches, least-loaded routing and an embedding cache.
    # Its tower is sharded like its language model, and it has no prefix cache.
    System(
        "monolith-strong",
        MONOLITHS,
        Scheduling(bind="all", routing="pending", placing="inline", image_cache_bytes=None),
    ),
    # Decodes are apart, and prefill workers encode inline. Chunks keep a step in order of arrival.
    System("pd", PREFILL_AND_DECODE, replace(PLAIN, placing="inline", step_tokens=2048)),
    # Three stages; a picture is one shard, and goes to the encoder whose turn it is.
    System("epd", THREE_STAGES, replace(PLAIN, step_tokens=2048)),
    # From the monolith of 2024 to ours, step by step: first the encoders are apart, then
    # (+ scheduling) prompts go by size and age, in chunks; then (+ routing) by what is pending.
    System("decoupling", PAPERS_SPLIT, PLAIN, split_of="paper"),
    System("scheduling", PAPERS_SPLIT, replace(PAPER, routing="round-robin"), split_of="paper"),
    System("paper", PAPERS_SPLIT, PAPER),
    # + overlap: prefill begins with the first image.
    System("overlap", PAPERS_SPLIT, replace(PAPER, bind="first"), split_of="paper"),
    # + caches of embeddings, which routing looks for. Where it scales, by launching and stopping
    # alone (+ autoscaling).
    System(
        "caches",
        PAPERS_SPLIT,
        OURS,
        scaling="modserve",
        means=frozenset({Means.LAUNCH}),
        split_of="paper",
    ),
    # Ours: where it scales, workers change their stages, too (+ role switching).
    System("modserve", PAPERS_SPLIT, OURS, scaling="modserve"),
)

SYSTEMS: MappingProxyType[str, System] = MappingProxyType({one.name: one for one in NAMED})


def system(name: str) -> System:
    """ValueError, with one sentence, for a name that is none."""
    found = SYSTEMS.get(name.lower())
    if found is None:
        raise ValueError(f"expected a system of {', '.join(SYSTEMS)}, got {name!r}")
    return found


def build(which: System, spec: ModelSpec, gpu: Gpu, layout: Layout, *, scales: bool) -> Cluster:
    """ValueError, with one sentence, where the model does not fit. Workers are linked as servers
    are, since two of them may be on two."""
    scheduling = which.scheduling
    if scales:
        scheduling = replace(scheduling, scaling=which.scaling, limits=_limits(which, layout))
    return Cluster(
        spec=spec,
        groups=tuple(
            group(spec, gpu, part.stages, part.count, part.tp, encode_tp=part.encode_tp)
            for part in layout
        ),
        link=link_cost(gpu, Link.INFINIBAND),
        scheduling=scheduling,
    )


def _limits(which: System, layout: Layout) -> Limits:
    """As many GPUs as it begins with, divided as the policy thinks best."""
    pools = {role_of(part.stages): PoolLimits(gpus=part.tp) for part in layout}
    return Limits(pools, gpus=gpus_of(layout), means=which.means)
