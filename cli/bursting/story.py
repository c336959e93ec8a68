"""What was seen while the load ran, and what comes of it: rows of a table, lines of a plot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...client.load.objectives import Objectives
from ...client.load.record import Record
from ...scheduler.stage import role_of, stages_of
from ...transport.messages import Event
from .phases import Phase

BIN_S = 5.0  # of the lines over time
TTFT_S, TPOT_S = 1.0, 0.2  # what every request of the demo is promised
PROMISE = Objectives(
    {
        (kind, metric): most_s
        for kind in ("text", "image")
        for metric, most_s in (("ttft", TTFT_S), ("tpot", TPOT_S))
    }
)
AWAY = ("loading", "draining", "switching")  # states in which a worker serves nobody


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the cluster, `at_s` after the start of the load."""

    at_s: float
    serving: Mapping[str, int]  # workers by role
    coming: int  # those that load, drain or switch
    open: int  # requests
    cores: float | None = None  # that we and our processes were busy with since the last look


@dataclass(frozen=True, slots=True)
class Told:
    at_s: float
    event: Event


@dataclass(frozen=True, slots=True)
class Row:
    """Of one phase, by when its requests were due."""

    phase: Phase
    sent: int
    failed: int
    attainment: float | None
    ttft_ms: tuple[float, float] | None  # median, and 99th percentile
    cores: float | None  # that we and our processes were busy with, on average
    workers: Mapping[str, tuple[int, int]]  # by role, the fewest and the most that served in it


@dataclass(slots=True)
class Story:
    plan: Sequence[Phase]
    records: list[Record] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    def rows(self) -> list[Row]:
        rows, begun = [], 0.0
        for phase in self.plan:
            rows.append(self._row(phase, begun))
            begun += phase.seconds
        return rows

    def _row(self, phase: Phase, begun: float) -> Row:
        def within(at_s: float) -> bool:
            return begun <= at_s < begun + phase.seconds

        ended = [one for one in self.records if within(one.due_s) and one.ended_s is not None]
        ttfts = [1000 * one.ttft_s for one in ended if one.completed]
        samples = [one for one in self.samples if within(one.at_s)]
        seen = [one.serving for one in samples]
        cores = [one.cores for one in samples if one.cores is not None]
        return Row(
            phase,
            len(ended),
            sum(not one.completed for one in ended),
            attainment(ended),
            (float(np.median(ttfts)), float(np.percentile(ttfts, 99))) if ttfts else None,
            float(np.mean(cores)) if cores else None,
            {role: _extremes([one.get(role, 0) for one in seen]) for role in roles(seen)},
        )

    @property
    def failed(self) -> int:
        return sum(bool(one.ended_s is not None and not one.completed) for one in self.records)

    def over_time(
        self, value: Callable[[Sequence[Record]], float | None], kind: str = ""
    ) -> tuple[list[float], list[float]]:
        """Middles of bins, by when requests were due, and what `value` makes of those in them."""
        bins: dict[int, list[Record]] = {}
        for one in self.records:
            if one.ended_s is not None and kind in ("", one.kind):
                bins.setdefault(int(one.due_s // BIN_S), []).append(one)
        points = [(BIN_S * (at + 0.5), value(bins[at])) for at in sorted(bins)]
        return [at for at, made in points if made is not None], [
            made for _, made in points if made is not None
        ]

    def lately(self, at_s: float) -> float | None:
        """The attainment of those that ended in the last ten seconds."""
        return attainment([one for one in self.records if at_s - 10.0 < (one.ended_s or 0.0)])


def attainment(records: Sequence[Record]) -> float | None:
    """Of those that have ended."""
    ended = [one for one in records if one.ended_s is not None]
    return sum(map(PROMISE.met, ended)) / len(ended) if ended else None


def _extremes(counts: Sequence[int]) -> tuple[int, int]:
    return min(counts), max(counts)


def roles(seen: Sequence[Mapping[str, int]]) -> list[str]:
    return sorted({role for one in seen for role in one})


def sample(at_s: float, report: Mapping[str, Any], cores: float | None = None) -> Sample:
    """Of what `status` says."""
    workers = report["workers"]
    serving = Counter(
        role_of(stages_of(one["stages"])) for one in workers if one["state"] not in AWAY
    )
    coming = len(workers) - serving.total()
    return Sample(at_s, serving, coming, report["requests"]["open"], cores)
