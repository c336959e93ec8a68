"""What several reports say together: latencies of the last while, and how they have moved."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .quantiles import quantile, since

WINDOW_S = 30.0
KEPT = 240  # of medians; a wider screen shows no more
TTFT, TPOT = "time_to_first_token_seconds", "request_time_per_output_token_seconds"
MODALITIES = ("text", "image")


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the requests that finished within the window; None where none did."""

    p50: float | None = None
    p99: float | None = None
    medians: tuple[float | None, ...] = ()  # one for each report, the last one last


Key = tuple[str, str]  # histogram and modality
KEYS: tuple[Key, ...] = tuple((name, modality) for name in (TTFT, TPOT) for modality in MODALITIES)


class History:
    """The first report is compared with nothing: it tells of all requests since the start."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[Key, list[int]]]] = deque()
        self._medians: dict[Key, deque[float | None]] = {}
        self._uptime_s = 0.0

    def add(self, report: Mapping[str, Any]) -> Mapping[Key, Latency]:
        """A controller that was started anew has counted anew."""
        uptime_s = report["controller"]["uptime_s"]
        if uptime_s < self._uptime_s:
            self._seen.clear()
        self._uptime_s = uptime_s
        counts = {key: list(report["histograms"][key[0]][key[1]]["counts"]) for key in KEYS}
        while len(self._seen) > 1 and uptime_s - self._seen[1][0] >= WINDOW_S:
            self._seen.popleft()
        before = self._seen[0][1] if self._seen else {}
        self._seen.append((uptime_s, counts))
        return {key: self._latency(report, key, counts[key], before.get(key)) for key in KEYS}

    def _latency(
        self, report: Mapping[str, Any], key: Key, counts: list[int], before: list[int] | None
    ) -> Latency:
        bounds = report["histograms"][key[0]]["bounds"]
        lately = counts if before is None else since(counts, before)
        median = quantile(bounds, lately, 0.5)
        medians = self._medians.setdefault(key, deque(maxlen=KEPT))
        medians.append(median)
        return Latency(median, quantile(bounds, lately, 0.99), tuple(medians))
