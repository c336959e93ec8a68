"""One request in a text stage: how far it is, and how many blocks it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf

from ..batching import Runnable


class Doing(Enum):
    PREFILLING = auto()
    HANDING_OVER = auto()  # prefilled; its blocks stay until the other side has pulled
    RECEIVING = auto()
    DECODING = auto()


@dataclass(slots=True, eq=False)
class Sequence:
    """`beside` and `extra` tell a cross-attention model's images in text that takes as long."""

    id: str
    run: int
    order: int
    rank: float
    prompt_tokens: int
    tokens: int  # prompt and everything emitted; while it decodes, as of step `since`
    ends_at: int  # of them, with the last one of its answer
    doing: Doing
    hand_over: bool
    gap_s: float = inf  # see ../pacing.py: the longest that it should wait for a token
    needs_all: bool = False  # no token is computed before all images are here
    missing: dict[int, int] = field(default_factory=dict)  # images: where each begins
    beside: int = 0  # tokens that each of its own sees in front of the prompt
    extra: int = 0  # tokens that its first chunk computes beyond its own
    blocks: int = 0
    computed: int = 0  # tokens whose KV is in the pool; not kept up to date while it decodes
    told: int = 0  # of it, offered to the decode side
    since: int = 0

    @property
    def ready(self) -> int:
        """How far its prefill may go now."""
        if self.doing is not Doing.PREFILLING:
            return self.computed
        if not self.missing:
            return self.tokens
        return 0 if self.needs_all else min(self.missing.values())

    @property
    def runnable(self) -> Runnable:
        """While it prefills: a decode takes part in every step."""
        return Runnable(self.id, self.rank, self.computed, self.ready, decoding=False)
