"""Families of one metric, with the prefix and the labels that all of ours have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client.metrics_core import Metric

PREFIX = "modserve_"
Labels = Mapping[str, str]
Counts = Mapping[str, Any]  # `counts` of each bucket alone, and `sum`


def gauge(name: str, told: str, samples: Iterable[tuple[Labels, float]]) -> Metric:
    family = Metric(PREFIX + name, told, "gauge")
    for labels, value in samples:
        family.add_sample(family.name, dict(labels), value)
    return family


def counter(name: str, told: str, samples: Iterable[tuple[Labels, float]]) -> Metric:
    """`name` without `_total`."""
    family = Metric(PREFIX + name, told, "counter")
    for labels, value in samples:
        family.add_sample(f"{family.name}_total", dict(labels), value)
    return family


def histogram(
    name: str,
    told: str,
    bounds: Sequence[float],
    samples: Iterable[tuple[Labels, Mapping[str, Any]]],
) -> Metric:
    """Prometheus wants each bucket with all that are below it."""
    family = Metric(PREFIX + name, told, "histogram")
    for labels, one in samples:
        sums = list(accumulate(one["counts"]))
        for bound, upto in zip((*map(repr, map(float, bounds)), "+Inf"), sums, strict=True):
            family.add_sample(f"{family.name}_bucket", {**labels, "le": bound}, upto)
        family.add_sample(f"{family.name}_count", dict(labels), sums[-1])
        family.add_sample(f"{family.name}_sum", dict(labels), one["sum"])
    return family
