"""Answers that follow a JSON schema: which tokens may come next.

llguidance walks the schema and the vocabulary; here is one walk for each answer, and where its
forbidden tokens lose their odds. Once the schema is fulfilled only an end of sequence may follow;
the same where the walk fails for a schema that is too hard for it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from tokenizers import Tokenizer
from torch import Tensor

log = logging.getLogger(__name__)


class Grammars:
    """Of one model. What llguidance wants of the vocabulary is made with the first schema: that
    takes half a second for a hundred thousand tokens."""

    def __init__(self, tokenizer: Tokenizer, eos_ids: frozenset[int], vocabulary: int) -> None:
        """`vocabulary`: columns of the logits."""
        self._tokenizer, self._eos_ids, self._vocabulary = tokenizer, eos_ids, vocabulary
        self._made: LLTokenizer | None = None

    def following(self, schema: str, emitted: Sequence[int]) -> Grammar:
        """Of an answer that has come as far as `emitted`."""
        if self._made is None:
            eos = sorted(self._eos_ids) or None
            self._made = LLTokenizer(self._tokenizer.to_str(), self._vocabulary, eos)
        grammar = LLMatcher.grammar_from_json_schema(schema)
        made = Grammar(LLMatcher(self._made, grammar, log_level=0), self._vocabulary)
        for token in emitted:
            made.push(token)
        return made


class Grammar:
    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher, self._vocabulary = matcher, vocabulary

    def push(self, token_id: int) -> None:
        if not self._matcher.consume_token(token_id):
            log.warning("an answer left its schema: %s", self._reason())

    def allowed(self) -> Tensor:
        """bool [vocabulary]; an end of sequence alone once nothing else can follow."""
        words = np.zeros(-(-self._vocabulary // 32), dtype=np.int32)
        failed = self._matcher.is_error()
        self._matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
        if self._matcher.is_error() and not failed:
            log.warning("an answer ends before its schema is fulfilled: %s", self._reason())
        bits = np.unpackbits(words.view(np.uint8), count=self._vocabulary, bitorder="little")
        return torch.from_numpy(bits.view(np.bool_))

    def _reason(self) -> str:
        return self._matcher.get_error().partition("\n")[0]


def forbid(logits: Tensor, rows: Sequence[tuple[int, Grammar]]) -> None:
    """What may not follow loses all odds, in place: (row of `logits` [n, vocabulary], grammar)."""
    for row, grammar in rows:
        logits[row].masked_fill_(~grammar.allowed().to(logits.device), -torch.inf)
