"""Quantiles of values that are known by the buckets that they fell into alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """As Prometheus's histogram_quantile: values lie evenly in their bucket, and those above all
    bounds at the last one. None without values."""
    rank = share * sum(counts)
    if not rank:
        return None
    below = 0
    for (low, high), found in zip(pairwise((0.0, *bounds)), counts, strict=False):
        if below + found >= rank:
            return low + (high - low) * (rank - below) / found
        below += found
    return bounds[-1]


def since(counts: Sequence[int], before: Sequence[int]) -> list[int]:
    """What has come to `before`."""
    return [now - then for now, then in zip(counts, before, strict=True)]
