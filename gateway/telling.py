"""The routes that tell of the model and of the gateway itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import orjson

from .dialect.bodies import TokenizeBody
from .dialect.prompts import chat_of
from .dialect.reading import read
from .errors import Problem
from .exchange import Exchange
from .house import House
from .metrics.exposition import CONTENT_TYPE, exposition
from .openapi import description

STAGES = frozenset({"prefill", "decode"})  # without these not even a text is answered


class Telling:
    def __init__(self, house: House) -> None:
        self._house = house
        self._began = int(time.time())

    async def health(self, exchange: Exchange) -> None:
        """This process answers; nothing is said about the controller."""
        await _say(exchange, {"status": "ok"})

    async def ready(self, exchange: Exchange) -> None:
        """Requests sent now will be served: there is a controller, and workers for a text."""
        status = await self._house.client.status()
        serving = [one for one in status["workers"] if one["state"] == "ready"]
        missing = STAGES - {stage for one in serving for stage in one["stages"]}
        if missing:
            sentence = f"expected workers for {' and '.join(sorted(missing))}, got none yet"
            raise Problem(503, sentence, code="not_ready", retry_after_s=1.0)
        await _say(exchange, {"status": "ready", "workers": len(serving)})

    async def metrics(self, exchange: Exchange) -> None:
        """The whole cluster's, whichever gateway is asked. Made in a thread: it takes as long as
        some requests."""
        report = await self._house.client.status()
        page = await asyncio.to_thread(exposition, report, self._house.traffic.families())
        await exchange.respond(200, page, kind=CONTENT_TYPE.encode())

    async def models(self, exchange: Exchange) -> None:
        names = await self._house.names()
        context = (await self._house.client.greeting()).context
        models = [self._model(name, context) for name in names]
        await _say(exchange, {"object": "list", "data": models})

    async def model(self, exchange: Exchange) -> None:
        name = exchange.path_parameter("name")
        await self._house.check_model(name)
        context = (await self._house.client.greeting()).context
        await _say(exchange, self._model(name, context))

    async def tokenize(self, exchange: Exchange) -> None:
        body = read(await exchange.body(), TokenizeBody)
        if body.model is not None:
            await self._house.check_model(body.model)
        ids = await self._ids(body)
        context = (await self._house.client.greeting()).context
        await _say(exchange, {"count": len(ids), "max_model_len": context, "tokens": ids})

    async def _ids(self, body: TokenizeBody) -> list[int]:
        client = self._house.client
        if (body.prompt is None) == (body.messages is None):
            raise Problem(400, "expected either prompt or messages, got both or none")
        if body.prompt is not None:
            return await client.tokens_of_text(body.prompt)
        return await client.tokens_of_chat(await chat_of(body.messages or (), _no_pictures))

    async def openapi(self, exchange: Exchange) -> None:
        """What there is to ask, of this model."""
        classes = [one["name"] for one in (await self._house.client.status())["slo_classes"]]
        greeting = await self._house.client.greeting()
        names = await self._house.names()
        await _say(exchange, description(names, greeting.vocabulary, classes))

    def _model(self, name: str, context: int) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": self._began,
            "owned_by": "modserve",
            "max_model_len": context,
        }


async def _say(exchange: Exchange, body: dict[str, Any]) -> None:
    await exchange.respond(200, orjson.dumps(body))


async def _no_pictures(urls: Sequence[str], param: str) -> list[bytes]:
    raise Problem(400, "expected texts alone to tokenize, got an image", param=param)
