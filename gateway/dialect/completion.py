"""Answers as OpenAI's text_completion, whole or in chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ...client import Answer, Chunk
from .shape import Head, Words, log, text_of, usage_of

KIND = "text_completion"
PREFIX = "cmpl-"


class Completion:
    prefix = PREFIX

    def __init__(self, head: Head, *, prompts: int = 1) -> None:
        self._head, self._prompts = head, prompts
        self._offsets: Counter[int] = Counter()  # characters that each choice has had

    def whole(self, answers: Sequence[Answer], words: Words) -> dict[str, Any]:
        choices = [
            self._choice(index, one.text, self._logprobs(index, one, words), one.finish_reason)
            for index, one in enumerate(answers)
        ]
        return {**self._head.object(KIND, choices), "usage": usage_of(answers, self._prompts)}

    def first(self, index: int) -> dict[str, Any] | None:
        return None

    def piece(self, index: int, chunk: Chunk, words: Words) -> dict[str, Any]:
        told = self._logprobs(index, chunk, words) if chunk.logprobs else None
        return self._head.object(KIND, [self._choice(index, chunk.text, told)])

    def last(self, index: int, answer: Answer) -> dict[str, Any]:
        choice = self._choice(index, "", None, answer.finish_reason)
        return self._head.object(KIND, [choice])

    def usage(self, answers: Sequence[Answer]) -> dict[str, Any]:
        return {**self._head.object(KIND, []), "usage": usage_of(answers, self._prompts)}

    @staticmethod
    def _choice(
        index: int, text: str, logprobs: dict[str, Any] | None, finish_reason: str | None = None
    ) -> dict[str, Any]:
        return {
            "index": index,
            "text": text,
            "logprobs": logprobs,
            "finish_reason": finish_reason,
        }

    def _logprobs(self, index: int, said: Answer | Chunk, words: Words) -> dict[str, Any] | None:
        """Offsets count the characters of the tokens, whose texts may be longer than the answer's:
        a stop string is cut off there."""
        if said.logprobs is None:
            return None
        tokens = [text_of(words[token]) for token in said.token_ids]
        offsets = []
        for token in tokens:
            offsets.append(self._offsets[index])
            self._offsets[index] += len(token)
        return {
            "tokens": tokens,
            "token_logprobs": [log(one.chosen) for one in said.logprobs],
            "top_logprobs": [
                {text_of(words[id]): log(value) for id, value in one.top} for one in said.logprobs
            ],
            "text_offset": offsets,
        }
