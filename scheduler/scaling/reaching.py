"""From how many replicas there should be to the steps towards it that the limits allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .decisions import Abandon, Decision, Grow, Shrink
from .limits import Means
from .loads import PoolLoad
from .room import Room


@dataclass(frozen=True, slots=True)
class Target:
    replicas: int
    reason: str


def abandoned(pools: Sequence[PoolLoad], now: float) -> list[Decision]:
    return [
        Abandon(pool.name, late, f"{late} launched for {pool.name} did not arrive in time")
        for pool in pools
        if (late := pool.overdue(now))
    ]


def grown(pool: PoolLoad, target: Target, room: Room, now: float) -> list[Decision]:
    """As many of those that are missing as may be launched; overdue launches are missing."""
    missing = target.replicas - room.held[pool.name] + pool.overdue(now)
    count = int(min(missing, room.to_grow(pool.name)))
    if count <= 0 or Means.LAUNCH not in room.limits.means or not pool.may_launch(now):
        return []
    room.grow(pool.name, count)
    return [Grow(pool.name, count, target.reason)]


def shrunk(pool: PoolLoad, target: Target, room: Room, now: float) -> list[Decision]:
    """As many of those that are too many as serve and are above the least."""
    surplus = pool.coming(now) - target.replicas
    count = min(surplus, room.to_give(pool.name))
    if count <= 0 or Means.LAUNCH not in room.limits.means:
        return []
    room.shrink(pool.name, count)
    return [Shrink(pool.name, count, target.reason)]
