"""What a pool's traffic will be in a moment: Holt's linear trend, damped (Gardner & McKenzie 1985).

Predictors of LLM traffic err by 79 % on average (ModServe, section 3.2), so this one looks no
further than a replica needs to start, bends its trend towards a constant, and is bounded by what
was seen. It is linear: the forecast of the sum of two modalities is the sum of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

from .loads import Traffic

LEVEL, TREND, DAMPING = 0.5, 0.2, 0.8  # of the level, of the trend, and of the trend per step
GROWTH = 1.5  # times the most that was seen is the most that is foretold


@dataclass(frozen=True, slots=True)
class Forecast:
    level: float  # tokens/s now, smoothed
    expected: float  # tokens/s at the horizon


def forecast(traffic: Traffic, step_s: float, horizon_s: float) -> Forecast:
    """No traffic yet: nothing is expected."""
    rates = traffic.windows(step_s)
    if not rates:
        now = traffic.over(step_s)
        return Forecast(now, now)
    level, trend = rates[0], 0.0
    for rate in rates[1:]:
        bent = DAMPING * trend
        before, level = level, LEVEL * rate + (1 - LEVEL) * (level + bent)
        trend = TREND * (level - before) + (1 - TREND) * bent
    steps = max(1, round(horizon_s / step_s))
    bends = DAMPING * (1 - DAMPING**steps) / (1 - DAMPING)  # the damping's powers, added up
    most = GROWTH * max(rates)
    return Forecast(max(0.0, min(level, most)), max(0.0, min(level + bends * trend, most)))
