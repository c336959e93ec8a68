"""What became of all requests, counted as they end: no request is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .outcome import Outcome
from .spread import Spread

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
MINUTE_S = 60.0


class Figures:
    """Of one kind of requests."""

    __slots__ = ("finished", "met", "refused", "requests", "tpot", "ttft")

    def __init__(self) -> None:
        self.requests = 0
        self.finished = 0
        self.refused = 0
        self.met = 0  # served as promised
        self.ttft = Spread()  # seconds; of all that had a first token
        self.tpot = Spread()

    def count(self, outcome: Outcome) -> None:
        self.requests += 1
        self.finished += outcome.finished
        self.refused += outcome.refused
        self.met += outcome.met
        if (ttft_s := outcome.ttft_s) is not None:
            self.ttft.add(ttft_s)
        if (tpot_s := outcome.tpot_s) is not None:
            self.tpot.add(tpot_s)

    def __add__(self, other: Figures) -> Figures:
        both = Figures()
        both.requests = self.requests + other.requests
        both.finished = self.finished + other.finished
        both.refused = self.refused + other.refused
        both.met = self.met + other.met
        both.ttft, both.tpot = self.ttft + other.ttft, self.tpot + other.tpot
        return both

    @property
    def attainment(self) -> float | None:
        """Of requests sent: who was refused or failed was not served as promised."""
        return self.met / self.requests if self.requests else None

    def body(self, span_s: float) -> dict[str, Any]:
        """As JSON has it; the requests came within `span_s`."""
        return {
            "requests": self.requests,
            "finished": self.finished,
            "refused": self.refused,
            "attainment": self.attainment,
            "rate_req_s": self.requests / span_s if span_s else None,
            "ttft_ms": _milliseconds(self.ttft),
            "tpot_ms": _milliseconds(self.tpot),
        }


class Tally:
    """`watch` is told of every request that ended."""

    def __init__(self) -> None:
        self.text, self.image = Figures(), Figures()
        self.span_s = 0.0  # from the beginning to the last arrival
        self._minutes: dict[int, tuple[int, int]] = {}  # by arrival: requests, as promised

    def watch(self, outcome: Outcome) -> None:
        (self.image if outcome.images else self.text).count(outcome)
        self.span_s = max(self.span_s, outcome.arrival_s)
        minute = int(outcome.arrival_s // MINUTE_S)
        sent, met = self._at(minute)
        self._minutes[minute] = sent + 1, met + outcome.met

    def __add__(self, other: Tally) -> Tally:
        """Of two runs; minutes are those of each by itself."""
        both = Tally()
        both.text, both.image = self.text + other.text, self.image + other.image
        both.span_s = self.span_s + other.span_s
        for minute in self._minutes | other._minutes:
            pairs = zip(self._at(minute), other._at(minute), strict=True)
            sent, met = (one + another for one, another in pairs)
            both._minutes[minute] = sent, met
        return both

    def _at(self, minute: int) -> tuple[int, int]:
        return self._minutes.get(minute, (0, 0))

    @property
    def all(self) -> Figures:
        return self.text + self.image

    @property
    def by_minute(self) -> Mapping[float, tuple[int, int]]:
        """From when on, in seconds: requests that came within the minute, served as promised."""
        return {minute * MINUTE_S: told for minute, told in sorted(self._minutes.items())}

    def body(self) -> dict[str, Any]:
        """All, and each kind under its name. A rate is over the time in which requests came."""
        return {
            **self.all.body(self.span_s),
            "text": self.text.body(self.span_s),
            "image": self.image.body(self.span_s),
        }


def _milliseconds(spread: Spread) -> dict[str, float | None]:
    found = {name: spread.quantile(share) for name, share in QUANTILES.items()}
    return {name: None if value is None else 1000 * value for name, value in found.items()}
