"""How many replicas of a pool are needed, as a number with a fraction, and why."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from .bursting import head_room
from .forecasting import forecast
from .loads import PoolLoad
from .tuning import Tuning

STEPS = 4  # of the forecast, to the horizon
BUSY = 0.5  # share of their time: those that are less busy miss SLOs for another reason


@dataclass(frozen=True, slots=True)
class Need:
    replicas: float  # with which the expected tokens, bursts and the backlog are served
    level: float  # tokens/s that arrive, smoothed
    lateness_s: float  # predicted, to drain the backlog with what serves or starts
    reason: str

    def pressure(self, replicas: int) -> float:
        """Above 1: so many are too few."""
        if replicas > 0:
            return self.replicas / replicas
        return inf if self.replicas > 0 else 0.0


def need_of(pool: PoolLoad, tuning: Tuning, now: float) -> Need:
    if not pool.capacity > 0:
        return _unmeasured(pool, tuning, now)
    lead_s = pool.cold_start_s + tuning.period_s
    level = forecast(pool.traffic, tuning.step_s, 0.0).level
    # The longer it has to look ahead, the longer the steps that tell a trend.
    step_s = max(tuning.step_s, pool.cold_start_s / STEPS)
    expected = forecast(pool.traffic, step_s, lead_s).expected
    bursts = level + head_room(pool.traffic.last(tuning.burst_s), tuning.drain_s, level)
    backlog = _backlog_ahead(pool, level, lead_s, now)
    draining = level + backlog / max(tuning.drain_s, lead_s) if pool.backlog else 0.0
    tokens_per_s = max(bursts, expected, draining)
    have = pool.coming(now) * pool.capacity
    return Need(
        tokens_per_s / pool.capacity,
        level,
        backlog / have if have else (inf if tokens_per_s else 0.0),
        f"{pool.name} has {level:,.0f} tokens/s, {expected:,.0f} expected, "
        f"{bursts:,.0f} in bursts, and {pool.backlog:,.0f} waiting; a replica sustains "
        f"{pool.capacity:,.0f}: {tokens_per_s / pool.capacity:.2f} needed, "
        f"{pool.serving} serving, {pool.coming(now) - pool.serving} starting",
    )


def _backlog_ahead(pool: PoolLoad, level: float, lead_s: float, now: float) -> float:
    """Tokens that wait when a replica launched now would serve. Those that start already serve
    from then on when they are ready, so no second one is launched for what they will do."""
    coming_s = sorted(max(0.0, at + pool.cold_start_s - now) for at in pool.starting)
    hoped = coming_s[pool.overdue(now) :]
    serving_s = pool.serving * lead_s + sum(max(0.0, lead_s - one) for one in hoped)
    return max(0.0, pool.backlog + level * lead_s - pool.capacity * serving_s)


def _unmeasured(pool: PoolLoad, tuning: Tuning, now: float) -> Need:
    """Of a pool whose capacity nobody knows: those that it has, and one where there is work."""
    work = bool(pool.backlog) or any(pool.traffic.tokens_per_s)
    needed = max(pool.coming(now), int(work))
    return Need(
        needed,
        pool.traffic.over(tuning.step_s),
        inf if work and not pool.coming(now) else 0.0,
        f"{pool.name} has {pool.backlog:,.0f} tokens waiting, and nobody measured what a replica "
        f"sustains: {needed} needed",
    )


def misses(pool: PoolLoad, tuning: Tuning) -> bool:
    """Whether the pool misses its SLO for want of replicas, as far as can be told."""
    short = pool.short
    late = short is not None and short.below(tuning.attainment, tuning.least_requests)
    return late and (pool.busy is None or pool.busy >= BUSY)
