"""The rule of the paper (ModServe, SoCC 2025, section 4.2): ceil(ML / MC) replicas every 5 minutes.

ML is the modality's load in tokens/s (image tokens for encode; for text the text tokens of a
cross-attention model, all tokens of a decoder-only one: `gathering.measure_of`), MC what one
replica sustains within its SLO. When a pool's SLO attainment falls below 0.99, it is scaled at
once. There is no hysteresis.

What the paper leaves open is done in the simplest way here: ML is the mean over the period;
whoever is too many is drained at the end of a period; the trigger adds one replica, and waits
until that one serves and the window of the attainment has passed before it adds another; a
replica that is lost or fails to start is launched again; where GPUs are short, the pools take
from the budget in the order in which they are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from .decisions import Decision
from .limits import Limits
from .loads import PoolLoad
from .reaching import Target, abandoned, grown, shrunk
from .room import Room

PERIOD_S = 300.0
ATTAINMENT = 0.99


class Paper:
    def __init__(self) -> None:
        self._targets: dict[str, Target] = {}
        self._triggered_s: dict[str, float] = {}
        self._next_s: float | None = None  # the end of the period

    def decide(self, pools: Sequence[PoolLoad], limits: Limits, now: float) -> list[Decision]:
        ended = self._ended(now)
        for pool in pools:
            self._aim(pool, ended, now)
        room, targets = Room(pools, limits), self._within(limits)
        return [
            *abandoned(pools, now),
            *(one for pool in pools for one in grown(pool, targets[pool.name], room, now)),
            *(one for pool in pools for one in shrunk(pool, targets[pool.name], room, now)),
        ]

    def _ended(self, now: float) -> bool:
        """What was provisioned to begin with stands for a whole period."""
        if self._next_s is None:
            self._next_s = now + PERIOD_S
        if now < self._next_s:
            return False
        self._next_s = now + PERIOD_S
        return True

    def _aim(self, pool: PoolLoad, ended: bool, now: float) -> None:
        old = self._targets.get(pool.name)
        if old is None:
            old = Target(pool.coming(now), f"{pool.name} began with {pool.coming(now)}")
        if ended and pool.capacity > 0:
            old = formula(pool)
        elif self._triggers(pool, now):
            self._triggered_s[pool.name] = now
            old = one_more(pool, old)
        self._targets[pool.name] = old

    def _triggers(self, pool: PoolLoad, now: float) -> bool:
        short = pool.short
        if short is None or not short.below(ATTAINMENT):
            return False
        last_s = self._triggered_s.get(pool.name)
        return last_s is None or now >= last_s + pool.cold_start_s + short.window_s

    def _within(self, limits: Limits) -> dict[str, Target]:
        return {
            name: Target(limits.of(name).clip(target.replicas), target.reason)
            for name, target in self._targets.items()
        }


def formula(pool: PoolLoad) -> Target:
    load = pool.traffic.over(PERIOD_S)
    replicas = ceil(load / pool.capacity)
    return Target(
        replicas,
        f"{pool.name} had {load:,.0f} tokens/s over {PERIOD_S:.0f} s and a replica sustains "
        f"{pool.capacity:,.0f}: {replicas} needed",
    )


def one_more(pool: PoolLoad, old: Target) -> Target:
    assert pool.short is not None
    return Target(
        old.replicas + 1,
        f"{pool.short.share:.1%} of {pool.short.requests} requests of {pool.name} met their SLO "
        f"within {pool.short.window_s:.0f} s, less than {ATTAINMENT:.0%}: one replica more",
    )
