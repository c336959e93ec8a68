"""What was seen of one request, and the figures that follow. Seconds, from the load's start."""

from __future__ import annotations

from dataclasses import dataclass, field

METRICS = ("ttft", "tpot", "itl", "e2el", "max_itl", "client_queue_time")


@dataclass(slots=True)
class Record:
    """`tokens` that come at one moment are one entry of `heard`."""

    images: int
    due_s: float
    sent_s: float
    heard: list[tuple[float, int]] = field(default_factory=list)
    ended_s: float | None = None  # None: still under way
    prompt_tokens: int = 0
    output_tokens: int = 0
    counted: bool = False  # by the server; else tokens are what was told apart
    error: str = ""

    @property
    def kind(self) -> str:
        return "image" if self.images else "text"

    @property
    def completed(self) -> bool:
        return self.ended_s is not None and not self.error

    @property
    def queued_s(self) -> float:
        """From when it was due: behind the limit of concurrency, or because we were late."""
        return max(0.0, self.sent_s - self.due_s)

    @property
    def ttft_s(self) -> float:
        """0 where no token came, as are the others."""
        return self.heard[0][0] - self.sent_s if self.heard else 0.0

    @property
    def e2el_s(self) -> float:
        """To the last token."""
        return self.heard[-1][0] - self.sent_s if self.heard else 0.0

    @property
    def tpot_s(self) -> float | None:
        """None where there are not two tokens."""
        if self.output_tokens < 2:
            return None
        return (self.e2el_s - self.ttft_s) / (self.output_tokens - 1)

    @property
    def gaps_s(self) -> list[float]:
        """Between each token and the one before; tokens that came together have gaps of 0.

        What a server counted beyond what was told apart came together with something, too.
        """
        gaps: list[float] = []
        before = self.heard[0][0] if self.heard else 0.0
        for at_s, tokens in self.heard:
            gaps += [at_s - before, *[0.0] * (tokens - 1)]
            before = at_s
        return gaps[1:] + [0.0] * (self.output_tokens - len(gaps))
