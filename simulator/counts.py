"""Whether anybody looks at how many KV blocks a text worker has left.

A decode that takes its next block changes no decision while its worker has far more room than any
request could ask for: then neither worker nor core need hear of it, and no step ends for it. That
does not hold where decodes are placed by the blocks that replicas have booked, nor once a request
has come that asks for more than a worker keeps free.
"""

from __future__ import annotations

from enum import Enum, auto

from ..scheduler.stage import Stage
from .cluster import TEXT, Cluster

AMPLE = 2  # a worker keeps one part of so many free, or counts


class Counts(Enum):
    ALWAYS = auto()
    SHORT = auto()  # where little is left


def counts_of(cluster: Cluster) -> Counts:
    stages = [group.stages for group in cluster.groups]
    apart = any(Stage.PREFILL in one and Stage.DECODE not in one for one in stages)
    stepwise = cluster.scheduling.most_steps == 1
    return Counts.ALWAYS if apart or stepwise else Counts.SHORT


def most_tokens(cluster: Cluster) -> int:
    """Of a request that every text worker keeps room for while it does not count."""
    pools = [group.kv_blocks for group in cluster.groups if group.stages & TEXT]
    return min(pools) // AMPLE * cluster.scheduling.block_size
