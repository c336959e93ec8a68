"""Messages become the chat that the client library takes, their pictures fetched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from .bodies import ImagePart, Message

Fetch = Callable[[Sequence[str], str], Awaitable[list[bytes]]]  # URLs, and the path of their field
ROLES = {"developer": "system"}  # OpenAI's newer word, which no chat template knows


async def chat_of(messages: Sequence[Message], fetch: Fetch) -> list[dict[str, Any]]:
    """All pictures are fetched at once; raises what `fetch` does."""
    found = list(_urls(messages))
    param = found[0][1] if len(found) == 1 else "messages"
    pictures = iter(await fetch([url for url, _ in found], param) if found else ())
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
