"""What of the limits is left while one round of decisions is made.

What leaves frees its GPUs only when it is gone, so nothing that a round stops is spent in the same
round: whoever carries the decisions out in their order is never above a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, inf

from .limits import Limits
from .loads import PoolLoad


class Room:
    def __init__(self, pools: Sequence[PoolLoad], limits: Limits) -> None:
        self.limits = limits
        self.serving = {pool.name: pool.serving for pool in pools}
        self.held = {pool.name: pool.serving + len(pool.starting) for pool in pools}
        used = sum(
            (self.held[pool.name] + pool.draining) * limits.of(pool.name).gpus for pool in pools
        )
        self.free_gpus = inf if limits.gpus is None else limits.gpus - used

    def to_grow(self, pool: str) -> float:
        """Replicas that may be launched."""
        of = self.limits.of(pool)
        by_most = inf if of.most is None else of.most - self.held[pool]
        return max(0, min(by_most, self._by_gpus(of.gpus)))

    def fits(self, pool: str) -> bool:
        """Whether the GPUs allow one replica more."""
        return self._by_gpus(self.limits.of(pool).gpus) >= 1

    def to_give(self, pool: str) -> int:
        """Serving replicas that may leave: what starts may fail, so it keeps nobody's place."""
        return max(0, self.serving[pool] - self.limits.of(pool).least)

    def may_switch(self, source: str, target: str) -> bool:
        """Replicas of different sizes cannot take each other's place."""
        ours, theirs = self.limits.of(source), self.limits.of(target)
        full = theirs.most is not None and self.held[target] >= theirs.most
        return ours.gpus == theirs.gpus and self.to_give(source) > 0 and not full

    def grow(self, pool: str, replicas: int) -> None:
        self.held[pool] += replicas
        self.free_gpus -= replicas * self.limits.of(pool).gpus

    def shrink(self, pool: str, replicas: int) -> None:
        self.held[pool] -= replicas
        self.serving[pool] -= replicas

    def switch(self, source: str, target: str) -> None:
        self.shrink(source, 1)
        self.held[target] += 1

    def _by_gpus(self, gpus: float) -> float:
        if not gpus or self.free_gpus == inf:
            return inf
        return floor(self.free_gpus / gpus + 1e-9)
