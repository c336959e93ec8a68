"""What arrives and what waits, in tokens: what autoscaling goes by."""

from __future__ import annotations

from dataclasses import replace

from ..request import Phase, Request
from ..stage import Stage
from ..switching import TEXT
from .gathering import WEIGHTS, Gathered, Gathering, Measure

ENCODING = frozenset({Stage.ENCODE})


class Demand:
    def __init__(self) -> None:
        self._gathering = Gathering()
        # (image, text) tokens of those that are not prefilled yet
        self._waiting: dict[str, tuple[Request, tuple[int, int]]] = {}

    def admitted(self, request: Request, now: float) -> None:
        """Harmless for a request that was refused, or has ended."""
        if not request.open or request.id in self._waiting:
            return
        rows, work = 0, 0
        for item in request.media:
            rows, work = rows + item.rows, work + item.work
        tokens = work, max(0, request.prompt_tokens - rows)
        self._waiting[request.id] = request, tokens
        self._gathering.arrived(now, *tokens)

    def prefilled(self, request_id: str) -> None:
        """Or ended: it waits for no prefill any more."""
        if (waited := self._waiting.pop(request_id, None)) is not None:
            tokens = waited[1]
            self._gathering.encoded(tokens[0])
            self._gathering.prefilled(*tokens)

    def gathered(self, now: float, measure: Measure, stages: frozenset[Stage]) -> Gathered:
        """The backlog without requests that other stages have still, or already, to do with: more
        replicas of these would do nothing for them."""
        told, (image, text) = self._gathering.snapshot(now, measure), WEIGHTS[measure]
        elsewhere = sum(
            image * images + text * texts
            for request, (images, texts) in self._waiting.values()
            if not stages & (ENCODING if request.phase is Phase.ADMITTED else TEXT)
        )
        return replace(told, backlog=max(0.0, told.backlog - elsewhere))
