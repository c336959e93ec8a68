"""When which requests come: calm, a burst of images, calm, a burst of texts, calm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from ...scheduler.slo.outcome import Modality
from ...scheduler.workload.arrivals import times

CALM, BURST = 0.4, 1.0  # of what one worker of each stage can do


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a second."""

    image: float
    text: float


@dataclass(frozen=True, slots=True)
class Phase:
    name: str
    seconds: float
    rates: Rates


@dataclass(frozen=True, slots=True)
class Due:
    at_s: float
    modality: Modality


def phases(capable: Rates, burst_s: float, calm_s: float) -> list[Phase]:
    """`capable`: what one worker of each stage can do of either kind alone."""
    image, text = capable.image, capable.text
    calm = Rates(CALM * image, CALM / 2 * text)
    return [
        Phase("calm", calm_s / 2, calm),
        Phase("image burst", burst_s, Rates(BURST * image, calm.text)),
        Phase("calm again", calm_s, calm),
        Phase("text burst", burst_s, Rates(calm.image, BURST * text)),
        Phase("calm at last", calm_s, calm),
    ]


def due(plan: Sequence[Phase], seed: int = 0) -> list[Due]:
    """Poisson arrivals, in order."""
    dice, begun, found = Random(seed), 0.0, list[Due]()
    for phase in plan:
        found += _of(phase, begun, dice)
        begun += phase.seconds
    return sorted(found, key=lambda one: one.at_s)


def _of(phase: Phase, begun: float, dice: Random) -> Iterator[Due]:
    for modality in Modality:
        rate = phase.rates.image if modality is Modality.IMAGE else phase.rates.text
        count = round(rate * phase.seconds)
        if count:
            for at_s in times(count, rate=rate, burstiness=1.0, dice=dice):
                yield Due(begun + at_s, modality)


def phase_at(plan: Sequence[Phase], at_s: float) -> int:
    """Which one it is then; the last one when all are over."""
    ended = 0.0
    for number, phase in enumerate(plan):
        ended += phase.seconds
        if at_s < ended:
            return number
    return len(plan) - 1
