"""What one request was promised: its class, and what it asked for in place of the class's times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .classes import STANDARD, SloClass


@dataclass(frozen=True, slots=True)
class Slo:
    """The times hold for this request; its images are reckoned in."""

    slo_class: SloClass
    ttft_s: float
    tpot_s: float
    image_s: float = 0.0  # the part of `ttft_s` that is for its images; the rest is for its text


@lru_cache(maxsize=1024)
def slo_of(
    slo_class: SloClass,
    image_tokens: int = 0,
    ttft_s: float | None = None,
    tpot_s: float | None = None,
) -> Slo:
    """The promise to a request with so many image tokens. A TTFT of its own is all that it has,
    images or not, and is divided as the class divides its own."""
    usual = slo_class.ttft_for(image_tokens)
    whole = usual if ttft_s is None else ttft_s
    share = 1.0 - slo_class.ttft_s / usual
    if image_tokens and not slo_class.image_token_s:
        share = 0.5  # the class says nothing of images
    return Slo(slo_class, whole, slo_class.tpot_s if tpot_s is None else tpot_s, whole * share)


def met(slo: Slo, ttft_s: float | None, tpot_s: float | None) -> bool:
    """Whether an answer came in time. No first token is none in time; an answer of one token has
    no TPOT, and so none that is too long."""
    return ttft_s is not None and ttft_s <= slo.ttft_s and (tpot_s or 0.0) <= slo.tpot_s


UNASKED = slo_of(STANDARD)  # of a request that says nothing
