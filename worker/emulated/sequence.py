"""One request in an emulated text stage: how far it is, and how many blocks it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from ...scheduler.batching import Runnable
from ...scheduler.pacing import gap_of
from ...transport.messages import Decode, Prefill, Sampling, Span


class Doing(Enum):
    PREFILLING = auto()
    HANDING_OVER = auto()  # prefilled; its blocks stay until the other side has pulled
    RECEIVING = auto()
    DECODING = auto()


@dataclass(slots=True)
class Sequence:
    id: str
    run: int
    client: int
    order: int
    rank: float
    gap_s: float
    prompt_tokens: int
    tokens: int  # prompt and everything emitted
    sampling: Sampling
    spans: tuple[Span, ...]
    needs_all: bool  # no token is computed before all images are here
    doing: Doing
    hand_over: bool
    blocks: int
    computed: int = 0
    told: int = 0  # of it, offered to the decode side
    missing: set[int] = field(default_factory=set)  # images

    @classmethod
    def of(cls, word: Prefill | Decode, blocks: int, *, needs_all: bool) -> Sequence:
        adopted = isinstance(word, Decode)
        return cls(
            id=word.request_id,
            run=word.run,
            client=word.client,
            order=word.order,
            rank=0.0 if isinstance(word, Decode) else word.rank,
            gap_s=gap_of(word.tpot_s),
            prompt_tokens=word.prompt_tokens,
            tokens=len(word.token_ids),
            sampling=word.sampling,
            spans=word.spans,
            needs_all=needs_all,
            doing=Doing.RECEIVING if adopted else Doing.PREFILLING,
            hand_over=isinstance(word, Prefill) and word.hand_over,
            blocks=blocks,
            missing=set() if adopted else {span.image for span in word.spans},
        )

    @property
    def emitted(self) -> int:
        return self.tokens - self.prompt_tokens

    @property
    def ready(self) -> int:
        """How far it may be computed now."""
        if self.doing in (Doing.HANDING_OVER, Doing.RECEIVING):
            return self.computed
        if not self.missing:
            return self.tokens
        if self.needs_all:
            return 0
        return min(span.start for span in self.spans if span.image in self.missing)

    @property
    def runnable(self) -> Runnable:
        decoding = self.doing is Doing.DECODING
        return Runnable(self.id, self.rank, self.computed, self.ready, decoding, self.gap_s)
