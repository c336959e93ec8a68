"""How many replicas a pool can do without: checked as if they were gone already."""

from __future__ import annotations

from .loads import PoolLoad
from .needing import BUSY, Need
from .tuning import Tuning


def remaining(pool: PoolLoad, need: Need, most_needed: float, least: int, tuning: Tuning) -> int:
    """The fewest replicas that suffice, at least `least`; all that serve where none may leave.
    `most_needed` within the down window."""
    unsettled = pool.starting or pool.draining or not pool.capacity > 0
    long = pool.long
    late = long is not None and long.below(tuning.attainment, tuning.least_requests)
    if unsettled or (late and (pool.busy is None or pool.busy >= BUSY)):
        return pool.serving
    counts = range(least, pool.serving)
    return next((n for n in counts if _enough(pool, need, most_needed, n, tuning)), pool.serving)


def _enough(pool: PoolLoad, need: Need, most_needed: float, count: int, tuning: Tuning) -> bool:
    busy = (pool.busy or 0.0) * pool.serving
    spare = count * pool.capacity - need.level  # tokens/s, to drain the backlog with
    return (
        most_needed <= tuning.margin * count
        and busy <= tuning.margin * count
        and pool.backlog <= max(0.0, spare) * tuning.drain_s
    )
