"""What came through the door: answers by route, status and key, for the metrics."""

from __future__ import annotations

from collections import Counter, defaultdict

from prometheus_client.metrics_core import Metric

from .metrics.family import counter


class Traffic:
    """Routes are our own, keys those in the file, so there are few of each."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, str, int, str]] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def count(self, route: str, method: str, status: int, key: str, took_s: float) -> None:
        """`key`: the name of whoever asked."""
        self._answers[route, method, status, key] += 1
        self._seconds[route] += took_s

    def families(self) -> tuple[Metric, ...]:
        answers = (
            ({"route": route, "method": method, "status": str(status), "key": key}, count)
            for (route, method, status, key), count in self._answers.items()
        )
        seconds = (({"route": route}, spent) for route, spent in self._seconds.items())
        return (
            counter("gateway_requests", "Answers of this gateway", answers),
            counter("gateway_request_seconds", "Until their last byte, added up", seconds),
        )
