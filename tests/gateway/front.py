"""A gateway in a thread of its own, with a real socket: what a test asks, it asks over HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx2
import openai
import uvicorn

from modserve.gateway.options import GatewayOptions
from modserve.gateway.serving import configuration

DEADLINE_S = 20.0
NO_ONE = "tcp://127.0.0.1:9"  # nobody listens on the port of `discard`


class Front:
    """`url` is where it listens."""

    def __init__(self, options: GatewayOptions) -> None:
        self._options = options
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listening.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._made = threading.Event()
        self._thread.start()
        assert self._made.wait(DEADLINE_S)

    async def _serve(self) -> None:
        self._server = uvicorn.Server(configuration(self._options))
        self._made.set()
        await self._server.serve(sockets=[self._listening])

    def http(self, **headers: str) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers=headers, timeout=DEADLINE_S)

    def openai(self, key: str = "nobody asks for it") -> openai.OpenAI:
        """A client that tries once, so that a refusal is seen."""
        return openai.OpenAI(
            base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=DEADLINE_S
        )

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(DEADLINE_S)
        self._listening.close()
        assert not self._thread.is_alive()


def chat(client: openai.OpenAI, **fields: Any) -> Any:
    """A chat completion of fields that OpenAI's types may not know."""
    return client.chat.completions.create(**fields)


@contextmanager
def front(controller: str = NO_ONE, **options: Any) -> Iterator[Front]:
    """`options` as in GatewayOptions; those of its limits too."""
    limits = {name: options.pop(name) for name in list(options) if name in LIMITS}
    told = GatewayOptions(controller, **options)
    opened = Front(replace(told, limits=replace(told.limits, **limits)))
    try:
        yield opened
    finally:
        opened.close()


LIMITS = GatewayOptions(NO_ONE).limits.__slots__


def events(text: str) -> list[Any]:
    """The data of server-sent events; what is no JSON stays as it is."""
    assert text.endswith("\n\n")
    told = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        assert block.startswith("data: ")
        data = block.removeprefix("data: ")
        told.append(json.loads(data) if data.startswith("{") else data)
    return told
