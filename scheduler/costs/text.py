"""A step of a text replica: prefill chunks and decodes in one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextWork:
    """What one step computes. A prefill chunk is (tokens before it, its tokens)."""

    chunks: Sequence[tuple[int, int]] = ()
    decodes: int = 0
    decode_context: int = 0  # tokens behind all decodes together, which they read

    @property
    def rows(self) -> int:
        return self.decodes + sum(tokens for _, tokens in self.chunks)

    @property
    def pairs(self) -> int:
        """Of a prefill token with a token that it sees."""
        return sum(tokens * start + tokens * (tokens + 1) // 2 for start, tokens in self.chunks)


@dataclass(frozen=True, slots=True)
class TextCost:
    """fixed + (weights^p + rows^p)^(1/p) + attention + decodes: reading the weights and multiplying
    with them overlap wholly for a large p (the roofline), not at all for 1."""

    fixed_s: float  # of a step
    weights_s: float  # to read all weights once
    row_s: float  # of a token's products
    pair_s: float  # of prefill attention, for each pair of tokens
    context_s: float  # of decode attention, for each token that is read
    overlap: float = 1.0  # p, at least 1
    decode_s: float = 0.0  # of a decode beyond its row: a call of attention, the head, a choice

    def seconds(self, work: TextWork) -> float:
        if not work.rows:
            return 0.0
        power = self.overlap
        products: float = (self.weights_s**power + (self.row_s * work.rows) ** power) ** (1 / power)
        attention = self.pair_s * work.pairs + self.context_s * work.decode_context
        return self.fixed_s + products + attention + self.decode_s * work.decodes

    def prefill_s(self, tokens: int, chunk: int, computed: int = 0) -> float:
        """Of a prompt alone, from `computed` on, in chunks of so many tokens."""
        starts = range(computed, tokens, chunk)
        return sum(
            self.seconds(TextWork([(start, min(chunk, tokens - start))])) for start in starts
        )
