"""What was served, told by two sides, and how near to each other they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from modserve.client.load.record import Record
from modserve.simulator.outcome import Outcome

THROUGHPUT, USUAL, SLOW = 0.05, 0.10, 0.15  # the most that a ratio may be off
QUANTILES = ((50, USUAL), (90, SLOW))


@dataclass(frozen=True, slots=True)
class Answer:
    images: int
    ttft_s: float
    tpot_s: float | None  # of one token: None


@dataclass(frozen=True, slots=True)
class Served:
    """Requests that ended well, from the first one sent to the last token."""

    answers: Sequence[Answer]
    span_s: float

    @property
    def rate(self) -> float:
        return len(self.answers) / self.span_s

    def ttfts_ms(self, images: bool) -> list[float]:
        return [1e3 * one.ttft_s for one in self.answers if bool(one.images) is images]

    @property
    def tpots_ms(self) -> list[float]:
        return [1e3 * one.tpot_s for one in self.answers if one.tpot_s is not None]

    @classmethod
    def really(cls, records: Iterable[Record]) -> Served:
        """Raises ValueError where one failed: what is left would be another load."""
        records = list(records)
        if failed := [record.error for record in records if not record.completed]:
            raise ValueError(f"expected answers to all, {len(failed)} failed: {failed[0]}")
        answers = [Answer(one.images, one.ttft_s, one.tpot_s) for one in records]
        begun = min(one.sent_s for one in records)
        return cls(answers, max(one.heard[-1][0] for one in records) - begun)

    @classmethod
    def in_theory(cls, outcomes: Iterable[Outcome]) -> Served:
        """Raises ValueError where one was not finished."""
        answers, begun, ended = [], float("inf"), 0.0
        for one in outcomes:
            if one.ttft_s is None or one.last_token_s is None:
                raise ValueError("expected that all simulated requests end well, one did not")
            answers.append(Answer(one.images, one.ttft_s, one.tpot_s))
            begun, ended = min(begun, one.arrival_s), max(ended, one.last_token_s)
        return cls(answers, ended - begun)


class Agreement(Struct, frozen=True):
    name: str
    unit: str
    real: float
    simulated: float
    ratio: float  # simulated / real
    goal: float  # the most that the ratio may be away from 1

    @property
    def met(self) -> bool:
        return abs(self.ratio - 1) <= self.goal


class Compared(Struct, frozen=True):
    title: str
    requests: int
    took_s: float
    agreements: Sequence[Agreement]
    late_ms: float  # 90 of 100 requests were sent at most so late; simulated is when they were sent
    beside_ms: Mapping[str, float]  # the costs: of a request, a step, a picture that were alone


def compared(
    title: str,
    records: Sequence[Record],
    outcomes: Sequence[Outcome],
    took_s: float,
    beside_ms: Mapping[str, float],
) -> Compared:
    """`beside_ms`: what was seen without anybody else. Raises ValueError as `Served` does."""
    late_ms = 1e3 * float(np.percentile([one.queued_s for one in records], 90))
    found = agreements(Served.really(records), Served.in_theory(outcomes))
    return Compared(title, len(records), took_s, found, late_ms, beside_ms)


def agreements(real: Served, simulated: Served) -> list[Agreement]:
    """Of all together, and the TTFT by kind: images take another way."""
    found = [_agreement("throughput", "req/s", real.rate, simulated.rate, THROUGHPUT)]
    for kind, images in (("text", False), ("images", True)):
        found += _quantiles(f"TTFT, {kind}", real.ttfts_ms(images), simulated.ttfts_ms(images))
    return found + _quantiles("TPOT", real.tpots_ms, simulated.tpots_ms)


def show(compared: Compared, console: Console) -> None:
    title = f"{compared.title}: {compared.requests:,} requests in {compared.took_s:.0f} s"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in ("real", "simulated", "ratio", "goal"):
        table.add_column(heading, justify="right")
    for one in compared.agreements:
        goal = f"[{'green' if one.met else 'red'}]± {one.goal:.0%}[/]"
        real, simulated = (f"{value:,.1f} {one.unit}" for value in (one.real, one.simulated))
        table.add_row(one.name, real, simulated, f"{one.ratio:.3f}", goal)
    console.print(table)
    beside = ", ".join(f"{ms:.1f} ms of a {what}" for what, ms in compared.beside_ms.items())
    console.print(
        f"sent at most {compared.late_ms:.1f} ms late (p90); taken beside the costs: {beside}"
    )


def _quantiles(name: str, real: Sequence[float], simulated: Sequence[float]) -> list[Agreement]:
    return [
        _agreement(
            f"{name} p{rank}",
            "ms",
            float(np.percentile(real, rank)),
            float(np.percentile(simulated, rank)),
            goal,
        )
        for rank, goal in QUANTILES
        if real and simulated
    ]


def _agreement(name: str, unit: str, real: float, simulated: float, goal: float) -> Agreement:
    return Agreement(name, unit, real, simulated, simulated / real, goal)
