"""The page that Prometheus scrapes, made of a report of the controller when somebody asks.

Counters begin anew with the controller, and a worker's with the worker, which Prometheus expects.
Labels are workers that there are, classes that are configured, and words of ours: never anything
that a client says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from .family import counter, gauge
from .requests import latencies, promises, requests
from .workers import workers

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Page(Collector):
    """`more`: families of whoever serves the page."""

    def __init__(self, report: Mapping[str, Any], more: tuple[Metric, ...] = ()) -> None:
        self._report, self._more = report, more

    def collect(self) -> Iterator[Metric]:
        yield from requests(self._report)
        yield from latencies(self._report)
        yield from promises(self._report)
        yield from workers(self._report)
        yield from _controller(self._report)
        yield from self._more


def exposition(report: Mapping[str, Any], more: tuple[Metric, ...] = ()) -> bytes:
    """`report`: what `AsyncClient.status` brings. The text format, as CONTENT_TYPE says."""
    return generate_latest(Page(report, more))


def _controller(report: Mapping[str, Any]) -> Iterator[Metric]:
    images, journal = report["image_cache"], report["journal"]
    yield counter("mm_cache_queries", "Images that requests needed", [({}, images["asked"])])
    yield counter("mm_cache_hits", "Of them, encoded already or under way", [({}, images["found"])])
    yield gauge(
        "held_image_bytes", "Image files of open requests", [({}, report["held_image_bytes"])]
    )
    yield gauge("journal_failing", "1 where it cannot be written", [({}, bool(journal["error"]))])
    yield gauge(
        "controller_uptime_seconds", "Of the controller", [({}, report["controller"]["uptime_s"])]
    )
    yield counter(
        "events",
        "What happened to workers, and what was decided about them, by kind",
        (({"kind": kind}, count) for kind, count in report["events"].items()),
    )
