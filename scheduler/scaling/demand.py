"""What arrives and what waits, in tokens: what autoscaling goes by."""

from __future__ import annotations

from ..request import Request
from .gathering import Gathered, Gathering, Measure


class Demand:
    def __init__(self) -> None:
        self._gathering = Gathering()
        self._waiting: dict[str, tuple[int, int]] = {}  # (image, text) tokens not prefilled yet

    def admitted(self, request: Request, now: float) -> None:
        """Harmless for a request that was refused, or has ended."""
        if not request.open or request.id in self._waiting:
            return
        rows = sum(item.rows for item in request.media)
        work = sum(item.work for item in request.media)
        tokens = work, max(0, request.prompt_tokens - rows)
        self._waiting[request.id] = tokens
        self._gathering.arrived(now, *tokens)

    def prefilled(self, request_id: str) -> None:
        """Or ended: it waits for no prefill any more."""
        if (tokens := self._waiting.pop(request_id, None)) is not None:
            self._gathering.encoded(tokens[0])
            self._gathering.prefilled(*tokens)

    def gathered(self, now: float, measure: Measure) -> Gathered:
        return self._gathering.snapshot(now, measure)
