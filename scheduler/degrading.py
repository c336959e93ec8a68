"""Admission by prediction: whoever would be late is told so at once, or is promised less.

The policy `limits` admits whatever there is room for, and promises in vain where much waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .aging import Rank, rank
from .outlook import Outlook
from .predicting import FirstToken
from .request import Request
from .slo.classes import SloClass
from .slo.slo import Slo, slo_of

ADMISSIONS = ("limits", "predicted")


@dataclass(frozen=True, slots=True)
class Refusal:
    """`retry_after_s`: when it might be admitted, if nobody else came; None: nobody knows."""

    reason: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Late:
    """A promise that would not be kept."""

    slo: Slo
    first_token: FirstToken
    waited_s: float

    @property
    def total_s(self) -> float:
        return self.waited_s + self.first_token.total_s

    @property
    def retry_after_s(self) -> float | None:
        """What is in front shrinks by a second a second; None: it would be late behind nothing."""
        if self.first_token.alone_s > self.slo.ttft_s:
            return None
        return self.total_s - self.slo.ttft_s


def affordable(
    request: Request,
    classes: Mapping[str, SloClass],
    outlook: Outlook,
    now: float,
    waited_s: float = 0.0,
    rank: Rank = rank,
) -> Slo | Refusal:
    """What can be promised to a request that came `waited_s` ago: what it asks for, what the class
    promises that its own may be degraded to, or nothing. Where no speed is known it is what it
    asks for."""
    late: list[Late] = []
    slo = request.slo
    while True:
        patience_s = request.deadline - now
        place = rank(now, request.prompt_tokens, slo.ttft_s, patience_s)
        found = outlook.first_token(request, place)
        if found is None or waited_s + found.total_s <= slo.ttft_s:
            return slo
        late.append(Late(slo, found, waited_s))
        otherwise = classes.get(slo.slo_class.degrade_to or "")
        if otherwise is None:
            return refusal(late)
        slo = slo_of(otherwise, sum(item.rows for item in request.media))


def refusal(late: list[Late]) -> Refusal:
    """One sentence for the class that was asked for, and those that it might have been degraded
    to."""
    told = ", and ".join(
        f"{one.total_s:.2f} s where {one.slo.ttft_s:.2f} s are promised ({one.slo.slo_class.name})"
        for one in late
    )
    waits = [wait for one in late if (wait := one.retry_after_s) is not None]
    if not waits:
        return Refusal(f"its first token would take {told}, even if nothing were in front of it")
    retry_s = min(waits)
    return Refusal(f"busy: its first token would take {told}; retry in {retry_s:.1f} s", retry_s)
