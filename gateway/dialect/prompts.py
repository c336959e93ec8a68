"""Messages become the chat that the client library takes, their pictures fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from .bodies import ImagePart, Message

Fetch = Callable[[str, str], Awaitable[bytes]]  # of a URL, and the path of its field
ROLES = {"developer": "system"}  # OpenAI's newer word, which no chat template knows


async def chat_of(messages: Sequence[Message], fetch: Fetch) -> list[dict[str, Any]]:
    """All pictures are fetched at once; raises what `fetch` does for the first that fails."""
    fetching = [asyncio.ensure_future(fetch(url, path)) for url, path in _urls(messages)]
    try:
        pictures = iter(await asyncio.gather(*fetching))
    finally:
        for one in fetching:
            one.cancel()
    return [
        {"role": ROLES.get(one.role, one.role), "content": _content(one, pictures)}
        for one in messages
    ]


def _urls(messages: Sequence[Message]) -> Iterator[tuple[str, str]]:
    for i, message in enumerate(messages):
        for j, part in enumerate(() if isinstance(message.content, str) else message.content):
            if isinstance(part, ImagePart):
                yield part.image_url.url, f"messages[{i}].content[{j}].image_url.url"


def _content(message: Message, pictures: Iterator[bytes]) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    return [
        {"type": "image", "image": next(pictures)}
        if isinstance(part, ImagePart)
        else {"type": "text", "text": part.text}
        for part in message.content
    ]
