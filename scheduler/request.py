"""The life of one request's text side, told once.

    NEW -> ADMITTED -> QUEUED -> PREFILLING -> PREFILLED -> DECODING -> DONE

ADMITTED waits for images, QUEUED for a replica with room. Every live phase may end CANCELLED or
FAILED, and NEW may end REJECTED. A lost replica or a preemption sends the request back to
ADMITTED, with the tokens that it has already emitted. Encoding overlaps prefill, so it is no
phase: each image has a life of its own in `media.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from .slo.slo import UNASKED, Slo

if TYPE_CHECKING:
    from .media import MediaItem


class Phase(Enum):
    NEW = auto()
    ADMITTED = auto()
    QUEUED = auto()
    PREFILLING = auto()
    PREFILLED = auto()
    DECODING = auto()
    DONE = auto()
    REJECTED = auto()
    CANCELLED = auto()
    FAILED = auto()

    __hash__ = object.__hash__  # as each is one object; Enum's own is written in Python


def _live(*after: Phase) -> frozenset[Phase]:
    return frozenset({*after, Phase.CANCELLED, Phase.FAILED})


NEXT: dict[Phase, frozenset[Phase]] = {
    Phase.NEW: _live(Phase.ADMITTED, Phase.REJECTED),
    Phase.ADMITTED: _live(Phase.QUEUED),
    Phase.QUEUED: _live(Phase.PREFILLING, Phase.ADMITTED),
    Phase.PREFILLING: _live(Phase.PREFILLED, Phase.ADMITTED, Phase.DONE),
    Phase.PREFILLED: _live(Phase.DECODING, Phase.ADMITTED, Phase.DONE),
    Phase.DECODING: _live(Phase.DONE, Phase.ADMITTED),
    Phase.DONE: frozenset(),
    Phase.REJECTED: frozenset(),
    Phase.CANCELLED: frozenset(),
    Phase.FAILED: frozenset(),
}

ENDS = frozenset(phase for phase, after in NEXT.items() if not after)


class InvalidTransition(Exception):
    """A bug in the scheduler, never the fault of a client; carries the whole story."""


@dataclass(slots=True)
class Request:
    """What the core knows of a request: sizes and marks, never its tokens or pixels."""

    id: str
    prompt_tokens: int  # images expanded to their spans
    max_tokens: int
    deadline: float  # absolute; past it the request fails rather than waits on
    media: list[MediaItem] = field(default_factory=list)
    emitted: int = 0  # tokens that workers have reported, over all runs
    run: int = 0  # the number of the binding that counts; words about others are stale
    prefill: str | None = None  # the replica it is bound to, and
    decode: str | None = None  # the one that decodes it: the same, or reserved beside it
    home: str | None = None  # the replica that has to prefill it: its images are encoded there
    failures: int = 0  # runs given up for reasons that are not the request's
    slo: Slo = UNASKED  # what it was promised
    beginnings: tuple[tuple[int, int], ...] = ()  # (tokens, hash): see nearness.py
    order: int = 0  # arrival order, drawn by the core
    rank: float = 0.0  # its place among prompts that wait: see aging.py
    phase: Phase = Phase.NEW
    story: list[tuple[Phase, float]] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """What the next prefill computes: prompt and everything emitted so far."""
        return self.prompt_tokens + self.emitted

    @property
    def open(self) -> bool:
        return self.phase not in ENDS

    def advance(self, phase: Phase, now: float) -> None:
        """Move on; raises InvalidTransition with the whole story for a move that is none."""
        if phase not in NEXT[self.phase]:
            raise InvalidTransition(f"{self.id}: {phase.name} after {self.story}")
        self.phase = phase
        self.story.append((phase, now))

    def entered(self, phase: Phase) -> float | None:
        """When it last entered `phase`: every latency is a difference of two of these."""
        return next((at for seen, at in reversed(self.story) if seen is phase), None)
