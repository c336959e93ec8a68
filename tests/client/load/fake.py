"""An endpoint that answers from a script; the suite of test_endpoints.py verifies it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from modserve.client.load.asks import Ask
from modserve.client.load.endpoints import AskFailed, Hear
from modserve.transport.messages import Usage


@dataclass(frozen=True)
class Answer:
    """Steps of (seconds to wait, tokens that come then); then it ends, or fails."""

    steps: Sequence[tuple[float, int]] = ()
    error: str = ""
    usage: Usage | None = None


class FakeEndpoint:
    """Answers by prompt."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self._answers = answers
        self.asked: list[Ask] = []
        self.under_way = 0
        self.most_under_way = 0
        self.cancelled = 0

    async def send(self, ask: Ask, hear: Hear) -> Usage | None:
        self.asked.append(ask)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._answer(self._answers[ask.prompt], hear)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1

    async def _answer(self, answer: Answer, hear: Hear) -> Usage | None:
        for wait_s, tokens in answer.steps:
            await asyncio.sleep(wait_s)
            hear(tokens)
        if answer.error:
            raise AskFailed(answer.error)
        return answer.usage
