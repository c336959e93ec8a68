"""Answers as OpenAI's chat.completion, whole or in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...client import Answer, Chunk
from .shape import Head, Words, log, text_of, usage_of

WHOLE, PIECE = "chat.completion", "chat.completion.chunk"
PREFIX = "chatcmpl-"


class Chat:
    prefix = PREFIX

    def __init__(self, head: Head, *, prompts: int = 1) -> None:
        self._head, self._prompts = head, prompts

    def whole(self, answers: Sequence[Answer], words: Words) -> dict[str, Any]:
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": one.text, "refusal": None},
                "logprobs": None if one.logprobs is None else _logprobs(one, words),
                "finish_reason": one.finish_reason,
            }
            for index, one in enumerate(answers)
        ]
        return {**self._head.object(WHOLE, choices), "usage": usage_of(answers, self._prompts)}

    def first(self, index: int) -> dict[str, Any] | None:
        return self._piece(index, {"role": "assistant", "content": "", "refusal": None})

    def piece(self, index: int, chunk: Chunk, words: Words) -> dict[str, Any]:
        told = _logprobs(chunk, words) if chunk.logprobs else None
        return self._piece(index, {"content": chunk.text}, told)

    def last(self, index: int, answer: Answer) -> dict[str, Any]:
        return self._piece(index, {}, finish_reason=answer.finish_reason)

    def usage(self, answers: Sequence[Answer]) -> dict[str, Any]:
        return {**self._head.object(PIECE, []), "usage": usage_of(answers, self._prompts)}

    def _piece(
        self,
        index: int,
        delta: dict[str, Any],
        logprobs: dict[str, Any] | None = None,
        finish_reason: str | None = None,
    ) -> dict[str, Any]:
        choice = {
            "index": index,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": finish_reason,
        }
        return self._head.object(PIECE, [choice])


def _logprobs(said: Answer | Chunk, words: Words) -> dict[str, Any]:
    told = zip(said.token_ids, said.logprobs or (), strict=True)
    content = [
        {
            **_token(token, one.chosen, words),
            "top_logprobs": [_token(id, value, words) for id, value in one.top],
        }
        for token, one in told
    ]
    return {"content": content, "refusal": None}


def _token(token: int, logprob: float, words: Words) -> dict[str, Any]:
    spelled = words[token]
    return {"token": text_of(spelled), "logprob": log(logprob), "bytes": list(spelled)}
