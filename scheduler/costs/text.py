"""A step of a text replica: prefill chunks and decodes in one forward pass."""

from __future__ import annotations

import math
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
        return self.rows_and_pairs()[0]

    @property
    def pairs(self) -> int:
        """Of a prefill token with a token that it sees."""
        return self.rows_and_pairs()[1]

    def rows_and_pairs(self) -> tuple[int, int]:
        rows, pairs = self.decodes, 0
        for start, tokens in self.chunks:
            rows += tokens
            pairs += tokens * start + tokens * (tokens + 1) // 2
        return rows, pairs


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
        rows, pairs = work.rows_and_pairs()
        if not rows:
            return 0.0
        attention = self.pair_s * pairs + self.context_s * work.decode_context
        return self.fixed_s + self._products(rows) + attention + self.decode_s * work.decodes

    def decode_times(self, decodes: int, context: int, steps: int) -> list[float]:
        """Of so many steps of the same decodes, whose context grows by a token each: to the bit
        what `seconds` says of each step."""
        until, heads = self.fixed_s + self._products(decodes), self.decode_s * decodes
        behind = range(context, context + steps * decodes, decodes)
        return [until + self.context_s * tokens + heads for tokens in behind]

    def _products(self, rows: int) -> float:
        power, rows_s = self.overlap, self.row_s * rows
        if power == 2.0:  # the usual one, without three powers
            return math.hypot(self.weights_s, rows_s)
        return float((self.weights_s**power + rows_s**power) ** (1 / power))

    def prefill_s(self, tokens: int, chunk: int, computed: int = 0) -> float:
        """Of a prompt alone, from `computed` on, in chunks of so many tokens."""
        starts = range(computed, tokens, chunk)
        return sum(
            self.seconds(TextWork([(start, min(chunk, tokens - start))])) for start in starts
        )
