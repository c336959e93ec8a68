"""Any server that speaks OpenAI's `/v1/chat/completions`: greedy, streamed, images as data URLs.

Needs httpx2: `pip install modserve[bench]`.
"""

from __future__ import annotations

import os
from base64 import b64encode
from typing import Any, Self

import httpx2
import msgspec
from msgspec import Struct

from ...transport.messages import Usage
from .asks import Ask
from .endpoints import AskFailed, Hear

CONNECT_S = 10.0
MOST_TOLD = 200  # characters of a server's complaint


class BadUrl(Exception):
    """One sentence."""


class Delta(Struct, frozen=True):
    role: str | None = None
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None

    @property
    def has_token(self) -> bool:
        """A first chunk that tells the role alone has none; one without text may have."""
        texts = (self.content, self.reasoning, self.reasoning_content)
        return any(texts) or (self.role is None and any(text is not None for text in texts))


class Choice(Struct, frozen=True):
    delta: Delta = Delta()
    finish_reason: str | None = None


class Counted(Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int


class Event(Struct, frozen=True):
    choices: tuple[Choice, ...] = ()
    usage: Counted | None = None
    error: Any = None


class OpenAiEndpoint:
    """The caller bounds the time of a request, and closes this."""

    def __init__(self, url: str, model: str, *, ignore_eos: bool) -> None:
        """`url` ends in /v1, as the base_url of OpenAI's own client does."""
        self._model = model
        self._ignore_eos = ignore_eos
        key = os.environ.get("OPENAI_API_KEY")
        self._url = _read(url)
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.aclose()

    async def send(self, ask: Ask, hear: Hear) -> Usage | None:
        body = msgspec.json.encode(self._body(ask))
        headers = {"Content-Type": "application/json"}
        try:
            async with self._http.stream(
                "POST", self._url, content=body, headers=headers
            ) as response:
                if response.status_code != 200:
                    await response.aread()
                    told = f"HTTP {response.status_code}: {_short(response.text)}"
                    raise AskFailed(told.rstrip(": "))
                return await _follow(httpx2.EventSource(response), hear)
        except httpx2.HTTPError as error:
            told = f"{type(error).__name__} {_short(str(error))}".rstrip()
            raise AskFailed(f"expected a whole answer of {self._url}, got {told}") from error
        except msgspec.DecodeError as error:
            raise AskFailed(f"expected a chunk of an answer, got another thing: {error}") from error

    def _body(self, ask: Ask) -> dict[str, Any]:
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": _data_url(image)}} for image in ask.images
        ]
        content.append({"type": "text", "text": ask.prompt})
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "user", "content": content if ask.images else ask.prompt}],
            "max_tokens": ask.output_tokens,
            "temperature": 0.0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._ignore_eos:  # what vLLM and SGLang call it; OpenAI's own server has neither
            body |= {"ignore_eos": True, "min_tokens": ask.output_tokens}
        return body


def _read(url: str) -> httpx2.URL:
    told = f"expected a URL like http://127.0.0.1:8000/v1, got {url}"
    try:
        read = httpx2.URL(f"{url.rstrip('/')}/chat/completions")
    except httpx2.InvalidURL as error:
        raise BadUrl(told) from error
    if read.scheme not in ("http", "https") or not read.host:
        raise BadUrl(told)
    return read


async def _follow(events: httpx2.EventSource, hear: Hear) -> Usage | None:
    usage: Usage | None = None
    whole = False
    async for sent in events:
        if sent.data == "[DONE]":
            whole = True
            break
        event = msgspec.json.decode(sent.data, type=Event)
        if event.error is not None:
            raise AskFailed(f"the server ended the stream: {_short(str(event.error))}")
        for choice in event.choices:
            whole = whole or choice.finish_reason is not None
            if choice.delta.has_token:
                hear(1)
        if event.usage is not None:
            usage = Usage(event.usage.prompt_tokens, 0, event.usage.completion_tokens)
    if not whole:
        raise AskFailed("expected a stream with an end, got one that broke off")
    return usage


def _data_url(image: bytes) -> str:
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{b64encode(image).decode()}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST_TOLD else f"{line[:MOST_TOLD]}..."
