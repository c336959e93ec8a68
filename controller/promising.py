"""What a Submit asks to be promised, against the classes that this controller has."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from ..scheduler.slo.classes import SloClass
from ..scheduler.slo.slo import Slo, slo_of
from ..transport.messages import Submit
from .naming import unknown
from .refusal import Refused


def promise(submit: Submit, image_tokens: int, classes: Mapping[str, SloClass]) -> Slo:
    """Raises Refused for a class that is none, and for times that are none."""
    slo_class = classes.get(submit.slo)
    if slo_class is None:
        raise Refused("slo", unknown("an SLO class", submit.slo, classes))
    ttft_s = _seconds("ttft_ms", submit.ttft_ms)
    return slo_of(slo_class, image_tokens, ttft_s, _seconds("tpot_ms", submit.tpot_ms))


def _seconds(name: str, ms: float | None) -> float | None:
    if ms is None:
        return None
    if not (isfinite(ms) and ms > 0):
        raise Refused("parameter", f"expected {name} above 0, got {ms:g}")
    return ms / 1000
