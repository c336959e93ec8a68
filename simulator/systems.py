"""The systems that are compared, by name. Each is data: how it divides GPUs, how it schedules.

All run the same core. A system whose rules the core cannot follow yet is not among them: nothing
stands in for it silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from ..scheduler.costs.gpus import Gpu, Link
from ..scheduler.costs.roofline import link_cost
from ..scheduler.costs.spec import ModelSpec
from ..scheduler.scaling.limits import Limits, PoolLimits
from ..scheduler.stage import role_of
from .cluster import Cluster, Scheduling, group
from .layout import Layout, Share, gpus_of


@dataclass(frozen=True, slots=True)
class System:
    name: str
    shares: Sequence[Share]  # of any number of GPUs
    scheduling: Scheduling
    scaling: str  # the policy, where it is asked to scale by itself: scheduler/scaling/registry.py


# 20 text workers of four GPUs and 48 encoders of one on 128 (ModServe, SoCC 2025, section 5.2)
PAPERS_SPLIT = (Share("text", 80 / 128, 4), Share("encode", 48 / 128, 1))
MONOLITHS = (Share("all", 1.0, 4),)

SYSTEMS: MappingProxyType[str, System] = MappingProxyType(
    {
        one.name: one
        for one in (
            # Chunked prefill, a budget for encode batches, least-loaded routing and an embedding
            # cache. Its tower is sharded like its language model, and has no prefix cache. An image
            # goes to the worker with the fewest pending image tokens, whoever prefills it.
            System(
                "monolith-strong",
                MONOLITHS,
                Scheduling(bind="all", image_cache_bytes=None),
                scaling="paper",
            ),
            # The paper's rules: images of one request spread over encoders by pending image tokens,
            # text by pending tokens once all images are ready, shorter prompts first, nothing
            # cached. Its formula for "shorter first" is not published: ours (aging.py) is taken.
            System(
                "paper",
                PAPERS_SPLIT,
                Scheduling(bind="all", image_cache_bytes=0),
                scaling="paper",
            ),
            # Ours: prefill begins with the first image, and embeddings are cached.
            System(
                "modserve",
                PAPERS_SPLIT,
                Scheduling(bind="first", image_cache_bytes=None),
                scaling="modserve",
            ),
        )
    }
)


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
        scheduling = replace(scheduling, scaling=which.scaling, limits=_limits(layout))
    return Cluster(
        spec=spec,
        groups=tuple(
            group(spec, gpu, part.stages, part.count, part.tp, encode_tp=part.encode_tp)
            for part in layout
        ),
        link=link_cost(gpu, Link.INFINIBAND),
        scheduling=scheduling,
    )


def _limits(layout: Layout) -> Limits:
    """As many GPUs as it begins with, divided as the policy thinks best."""
    pools = {role_of(part.stages): PoolLimits(gpus=part.tp) for part in layout}
    return Limits(pools, gpus=gpus_of(layout))
