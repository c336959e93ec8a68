"""What a scaling policy may do: replicas of each pool, GPUs over all pools, and by which means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Means(StrEnum):
    LAUNCH = "launch"  # and stop: the number of replicas changes
    SWITCH = "switch"  # a replica changes its stages


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Raises ValueError for limits that no number of replicas meets."""

    least: int = 1
    most: int | None = None  # None: as many as the GPUs allow
    gpus: float = 1.0  # of one replica; 0 for those that compute on CPUs

    def __post_init__(self) -> None:
        if self.least < 0:
            raise ValueError(f"expected at least 0 replicas as the least, got {self.least}")
        if self.most is not None and self.most < self.least:
            raise ValueError(
                f"expected at least {self.least} replicas as the most, as many as the least, "
                f"got {self.most}"
            )
        if not self.gpus >= 0:
            raise ValueError(f"expected at least 0 GPUs for a replica, got {self.gpus:g}")

    def clip(self, replicas: int) -> int:
        replicas = replicas if self.most is None else min(replicas, self.most)
        return max(self.least, replicas)


@dataclass(frozen=True, slots=True)
class Limits:
    """Raises ValueError for a negative budget."""

    pools: Mapping[str, PoolLimits] = field(default_factory=dict)
    gpus: float | None = None  # of all pools together; None: no limit
    means: frozenset[Means] = frozenset(Means)

    def __post_init__(self) -> None:
        if self.gpus is not None and not self.gpus >= 0:
            raise ValueError(f"expected at least 0 GPUs over all pools, got {self.gpus:g}")

    def of(self, pool: str) -> PoolLimits:
        return self.pools.get(pool, PoolLimits())
