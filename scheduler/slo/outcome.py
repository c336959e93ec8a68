"""What became of a promise, read from the story of a request that ended.

    received ── encode ── last image ready ── prefill ── first token ── decode ── end

The first two stages divide the TTFT between them, waiting included. If the first token was late,
a stage that took more than its part of the promise has missed it: at least one has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ..media import ItemPhase
from ..request import Phase, Request
from ..stage import Stage
from .slo import met


class Modality(StrEnum):
    TEXT = "text"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`stages` has those that the request needed."""

    slo: str  # the class
    modality: Modality
    met: bool
    stages: Mapping[Stage, bool]


def missed(slo: str, modality: Modality) -> Outcome:
    """Of a request that nobody began with: every stage that it needed owes it."""
    return Outcome(slo, modality, False, dict.fromkeys(_needed(modality), False))


def outcome(request: Request, received: float, first_token: float | None) -> Outcome | None:
    """Of a request that ended; None for one that was cancelled, which proves nothing.

    `received`, `first_token`: when its Submit came in and its first token was reported, on the
    clock of the story.
    """
    if request.phase is Phase.CANCELLED:
        return None
    modality = Modality.IMAGE if request.media else Modality.TEXT
    if request.phase is Phase.REJECTED:
        return missed(request.slo.slo_class.name, modality)
    done = request.phase is Phase.DONE
    ttft_s = None if first_token is None else first_token - received
    tpot_s = _tpot(request, first_token)
    stages = _until_first_token(request, received, first_token)
    stages[Stage.DECODE] = done and (tpot_s or 0.0) <= request.slo.tpot_s
    kept = done and met(request.slo, ttft_s, tpot_s)
    return Outcome(request.slo.slo_class.name, modality, kept, stages)


def _needed(modality: Modality) -> list[Stage]:
    return [stage for stage in Stage if stage is not Stage.ENCODE or modality is Modality.IMAGE]


def _tpot(request: Request, first_token: float | None) -> float | None:
    if first_token is None or request.emitted < 2:
        return None
    return (request.story[-1][1] - first_token) / (request.emitted - 1)


def _until_first_token(
    request: Request, received: float, first_token: float | None
) -> dict[Stage, bool]:
    """A stage that did not come to its end has missed."""
    slo = request.slo
    in_time = first_token is not None and first_token - received <= slo.ttft_s
    text_begun, stages = received, {}
    if request.media:
        ready = _ready(request, first_token)
        stages[Stage.ENCODE] = in_time or (ready is not None and ready - received <= slo.image_s)
        text_begun = received if ready is None else ready
    stages[Stage.PREFILL] = in_time or (
        first_token is not None and first_token - text_begun <= slo.ttft_s - slo.image_s
    )
    return stages


def _ready(request: Request, first_token: float | None) -> float | None:
    """When its last image was; one that was lost behind the first token was ready before it. A
    beginning that a text replica knows already is not waited for."""
    marks = [item.entered(ItemPhase.READY) for item in request.media]
    ready = [first_token if at is None else at for at in marks]
    known = [at for at in ready if at is not None]
    if len(known) < len(marks):
        return None
    return max(known) if first_token is None else min(max(known), first_token)
