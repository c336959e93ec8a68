"""What the shapes of both ways of asking share: who answers, and what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...client import Answer

Words = Mapping[int, bytes]  # what each token is spelled as
LEAST = -9999.0  # OpenAI's word for minus infinity, which JSON has none for


@dataclass(frozen=True, slots=True)
class Head:
    """The same in all that is said about one request."""

    id: str
    created: int  # seconds of Unix time
    model: str
    fingerprint: str

    def object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
        }


def usage_of(answers: Sequence[Answer], prompts: int = 1) -> dict[str, Any]:
    """A prompt counts once, however many answers it gets; `answers` come prompt by prompt."""
    each = len(answers) // prompts
    known = [one.usage for one in answers if one.usage is not None]
    prompt = sum(one.prompt_tokens for one in known[::each])
    completion = sum(one.completion_tokens for one in known)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"image_tokens": sum(one.image_tokens for one in known[::each])},
    }


def log(value: float) -> float:
    return max(value, LEAST)


def text_of(spelled: bytes) -> str:
    """Of one token, which may be a part of a character."""
    return spelled.decode("utf-8", errors="replace")
