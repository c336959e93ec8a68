"""What became of one request, as a client sees it; times are seconds of the virtual clock."""

from __future__ import annotations

from dataclasses import dataclass

from ..scheduler.slo import slo as promises
from ..scheduler.slo.slo import UNASKED, Slo


@dataclass(frozen=True, slots=True)
class Outcome:
    arrival_s: float
    images: int
    prompt_tokens: int  # with those that images take in the prompt
    output_tokens: int  # that came
    first_token_s: float | None
    last_token_s: float | None  # None: it did not end well
    refused: bool = False
    slo: Slo = UNASKED  # what it was promised

    @property
    def finished(self) -> bool:
        return self.last_token_s is not None

    @property
    def ttft_s(self) -> float | None:
        return None if self.first_token_s is None else self.first_token_s - self.arrival_s

    @property
    def tpot_s(self) -> float | None:
        """The mean of the gaps between tokens; None for an answer of one token, or none."""
        if self.first_token_s is None or self.last_token_s is None or self.output_tokens < 2:
            return None
        return (self.last_token_s - self.first_token_s) / (self.output_tokens - 1)

    @property
    def met(self) -> bool:
        """Whether its promise was kept: it ended well, and in time."""
        return self.finished and promises.met(self.slo, self.ttft_s, self.tpot_s)
