"""The prompts that nobody has prefilled yet, in tokens: all of them, and by rank.

Those that wait for an image are told apart: a text does not stand behind them, since it is
prefilled before they are encoded.
"""

from __future__ import annotations

from .backlog import Backlog
from .request import Phase, Request


class Waiting:
    """Follows each request from its admission until it is prefilled, or has ended."""

    def __init__(self, *, ranked: bool) -> None:
        """Not `ranked`: the sum alone is kept."""
        self.tokens = 0
        self.served = 0  # tokens of prompts that were prefilled, since the start
        self.ready = Backlog()  # a text replica could begin with them, or has
        self.coming = Backlog()  # they wait for an image
        self.ranked = ranked
        self._held: dict[str, tuple[Backlog, int]] = {}

    def follow(self, request: Request) -> None:
        """Its phase is another one."""
        into, tokens = self._place(request.phase), request.tokens
        before = self._held.pop(request.id, None)
        if before is not None:
            self._add(before[0], request.rank, -before[1])
            if request.phase is Phase.PREFILLED:
                self.served += before[1]
        if into is not None:
            self._held[request.id] = into, tokens
            self._add(into, request.rank, tokens)

    def _add(self, into: Backlog, rank: float, tokens: int) -> None:
        self.tokens += tokens
        if self.ranked:
            into.add(rank, tokens)

    def _place(self, phase: Phase) -> Backlog | None:
        if phase is Phase.QUEUED or phase is Phase.PREFILLING:
            return self.ready
        return self.coming if phase is Phase.ADMITTED else None
