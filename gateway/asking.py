"""The two routes that ask the model: /v1/chat/completions and /v1/completions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson

from ..client import Answer, Chunk
from ..client.options import Options
from .choices import Choices
from .dialect.bodies import MOST_PROMPTS, ChatBody, CompletionBody
from .dialect.chat import Chat
from .dialect.completion import Completion
from .dialect.prompts import chat_of
from .dialect.reading import read
from .dialect.sampling import options_of, promised
from .dialect.shape import Head
from .errors import Problem
from .exchange import Exchange
from .house import House

DONE = b"[DONE]"
Shape = Chat | Completion


class Asking:
    """Answers one HTTP request after the other; keeps nothing of them."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def chat(self, exchange: Exchange) -> None:
        body = read(await exchange.body(), ChatBody)

        async def work() -> None:
            await self._house.check_model(body.model)
            chat = await chat_of(body.messages, self._house.fetch)
            await self._answer(exchange, body, [{"prompt": chat}], Chat)

        await exchange.while_here(work())

    async def completion(self, exchange: Exchange) -> None:
        body = read(await exchange.body(), CompletionBody)

        async def work() -> None:
            await self._house.check_model(body.model)
            prompts = [{"token_ids": ids} for ids in await self._prompts(body)]
            await self._answer(exchange, body, prompts, Completion)

        await exchange.while_here(work())

    async def _prompts(self, body: CompletionBody) -> list[list[int]]:
        """A text is no chat here: it is tokenized as it is."""
        return [
            await self._house.client.tokens_of_text(one) if isinstance(one, str) else one
            for one in several(body.prompt)
        ]

    async def _answer(
        self,
        exchange: Exchange,
        body: ChatBody | CompletionBody,
        prompts: Sequence[dict[str, Any]],
        shaping: type[Chat] | type[Completion],
    ) -> None:
        options = self._options(exchange, body)
        count = body.n or 1
        greeting = await self._house.client.greeting()
        async with Choices.asked(self._house.client, prompts, count, options) as choices:
            head = Head(
                shaping.prefix + choices.request_id,
                int(time.time()),
                body.model,
                f"fp_{greeting.fingerprint[:16]}",
            )
            shape = shaping(head, prompts=len(prompts))
            name = (b"x-request-id", choices.request_id.encode())
            if body.stream:
                usage = body.stream_options is not None and body.stream_options.include_usage
                await choices.begun()  # or refused, in place of a 200
                await exchange.begin_events([name])
                await self._stream(exchange, choices, shape, usage=usage)
            else:
                answers = await choices.answers()
                await self._learn(answers)
                whole = shape.whole(answers, self._house.vocabulary.words)
                await exchange.respond(200, orjson.dumps(whole), [name])

    def _options(self, exchange: Exchange, body: ChatBody | CompletionBody) -> Options:
        if body.stream_options is not None and not body.stream:
            sentence = "expected stream to be true beside stream_options, got false"
            raise Problem(400, sentence, code="invalid_value", param="stream_options")
        most = self._house.options.limits.default_max_tokens
        return {**options_of(body, most), **promised(exchange.headers)}

    async def _stream(
        self, exchange: Exchange, choices: Choices, shape: Shape, *, usage: bool
    ) -> None:
        extra: dict[str, Any] = {"usage": None} if usage else {}
        firsts = [shape.first(index) for index in range(len(choices))]
        events = [{**one, **extra} for one in firsts if one is not None]
        async for index, chunk in choices.chunks():
            if chunk is None:
                events.append({**shape.last(index, choices.answer(index)), **extra})
            elif chunk.text or chunk.logprobs:
                await self._learn([chunk])
                piece = shape.piece(index, chunk, self._house.vocabulary.words)
                events.append({**piece, **extra})
            if events:
                await exchange.event(*map(orjson.dumps, events))
            events = []
        answers = [choices.answer(index) for index in range(len(choices))]
        last = [orjson.dumps(shape.usage(answers))] if usage else []
        await exchange.event(*last, DONE)
        await exchange.end()

    async def _learn(self, said: Sequence[Answer | Chunk]) -> None:
        if any(one.logprobs for one in said):
            await self._house.vocabulary.learn(said)


def several(prompt: str | list[Any]) -> list[str | list[int]]:
    """One prompt or more: a text, token ids, or a list of either; raises Problem."""
    if isinstance(prompt, str) or all(isinstance(one, int) for one in prompt):
        return [prompt]
    kinds = {type(one) for one in prompt}
    if len(kinds) > 1 or len(prompt) > MOST_PROMPTS:
        got = "a mixture" if len(kinds) > 1 else f"{len(prompt)} of them"
        sentence = f"expected a text, token ids, or up to {MOST_PROMPTS} of either, got {got}"
        raise Problem(400, sentence, code="invalid_value", param="prompt")
    return prompt
