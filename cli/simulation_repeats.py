"""What several repeats of a simulation found together, and how sure their means are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from statistics import fmean
from typing import Any

from ..simulator.confidence import interval
from .simulation_report import KINDS, body
from .simulation_run import Run
from .simulation_setting import Setting

ALONE = ("scale", "attainment", "rate_req_s", "gpus_mean")
SPREAD = ("ttft_ms", "tpot_ms")


def all_of(settings: Sequence[Setting], runs: Sequence[Run], wall_s: float) -> dict[str, Any]:
    """One alone as it is. Of several: the figures of all requests together, the mean of their
    scales and GPUs, and under `runs` each by itself; utilisation, workers and what was tried are
    those of the first."""
    told = [body(*both, wall_s) for both in zip(settings, runs, strict=True)]
    if len(told) == 1:
        return told[0]
    pooled = reduce(add, (run.result.tally for run in runs)).body()
    kept, asked = (
        sum(getattr(one.offered, name) for one in settings) for name in ("kept_alone", "requests")
    )
    return {
        **told[0],
        **pooled,
        **{name: fmean(one[name] for one in told) for name in ("scale", "gpus_mean")},
        **{name: sum(one[name] for one in told) for name in ("virtual_s", "events")},
        "ceiling": kept / asked,
        "repeats": len(told),
        "confidence": _confidence(told),
        "runs": [_short(one) for one in told],
    }


def _short(one: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one[name] for name in ("seed", *ALONE, *SPREAD, *KINDS)}


def _confidence(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By the figure's name: mean, and between what it lies. A figure that a repeat lacks is not
    told of."""
    rows = [_flat(one) for one in told]
    names = [name for name in rows[0] if all(row.get(name) is not None for row in rows)]
    found = {name: interval([row[name] for row in rows]) for name in names}
    return {name: {"mean": it.mean, "low": it.low, "high": it.high} for name, it in found.items()}


def _flat(one: Mapping[str, Any]) -> dict[str, Any]:
    alone = {name: one[name] for name in ALONE}
    return alone | {f"{name}.{at}": one[name][at] for name in SPREAD for at in one[name]}
