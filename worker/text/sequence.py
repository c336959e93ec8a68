"""One request inside a text stage, from admission to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from torch import Tensor

from ...scheduler.pacing import due_s
from ..tokens.emission import Emission
from ..tokens.sampling import SamplingRow
from .cross import CrossKv
from .prefixes import Key
from .text_work import TextTask


class Doing(Enum):
    PREFILLING = auto()
    DECODING = auto()
    RECEIVING = auto()  # its KV comes from a prefill worker
    HANDING_OVER = auto()  # its KV is complete and waits to be pulled


@dataclass(slots=True)
class Sequence:
    task: TextTask
    doing: Doing
    emission: Emission
    row: SamplingRow
    tokens: list[int]
    computed: int = 0  # tokens whose KV is in the pool
    told: int = 0  # of them, those of which a step has said that they are computed
    keys: list[Key] = field(default_factory=list)  # of the prompt's blocks, for the prefix cache
    embeddings: dict[int, Tensor] = field(default_factory=dict)  # landed and not yet passed
    missing: set[int] = field(default_factory=set)  # images that have not landed
    cross: CrossKv | None = None
    first: tuple[float, int] = (0.0, 0)  # when it began to decode, and its tokens then

    @property
    def id(self) -> str:
        return self.task.request_id

    @property
    def ready(self) -> int:
        """How far it may be computed now."""
        if self.doing is Doing.DECODING:
            return self.computed + 1
        if self.doing is not Doing.PREFILLING:
            return self.computed
        if self.cross is not None and self.missing:
            return 0  # the very first text row may attend to every image
        gaps = [span.start for span in self.task.spans if span.image_index in self.missing]
        return min(gaps, default=len(self.tokens))

    def begin_to_decode(self, now: float) -> None:
        self.doing, self.first = Doing.DECODING, (now, len(self.tokens))

    @property
    def due_s(self) -> float:
        """When its next token should be there, on the clock of `begin_to_decode`."""
        first_s, tokens = self.first
        return due_s(first_s, len(self.tokens) + 1 - tokens, self.task.tpot_s)

    def advance(self, tokens: int) -> None:
        """`tokens` more are in the pool; embeddings that lie behind are let go."""
        self.computed += tokens
        if self.embeddings:
            ahead = {s.image_index for s in self.task.spans if not s.ends_by(self.computed)}
            self.embeddings = {k: v for k, v in self.embeddings.items() if k in ahead}
