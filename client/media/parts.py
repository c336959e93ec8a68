"""A chat with pictures by URL, as OpenAI's clients write it, becomes one with picture files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import BadInput
from .fetcher import Fetcher

Message = Mapping[str, Any]


async def fetched(messages: Sequence[Message], fetcher: Fetcher) -> list[dict[str, Any]]:
    """`image_url` parts as the `image` parts that the client takes; all else stays as it is.

        answer = await client.generate(await fetched(messages, fetcher))

    For messages of one's own program: an `image` part may name a file of this machine. Raises
    BadInput for a part without a URL, and BadMedia.
    """
    urls = [_url(part) for message in messages for part in _pictures(message)]
    files = iter(await fetcher.fetch_all(urls))
    return [_with_files(message, files) for message in messages]


def _pictures(message: Message) -> Iterator[Message]:
    content = message.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        yield from (part for part in content if _is_picture(part))


def _is_picture(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "image_url"


def _url(part: Message) -> str:
    match part:
        case {"type": "image_url", "image_url": {"url": str(url), **more}, **rest} if (
            not rest and more in ({}, {"detail": "auto"})
        ):
            return url
    raise BadInput(
        'expected {"type": "image_url", "image_url": {"url": ...}}, '
        f"got a part of {', '.join(map(str, part))}"
    )


def _with_files(message: Message, files: Iterator[bytes]) -> dict[str, Any]:
    content = message.get("content")
    if not isinstance(content, Sequence) or isinstance(content, str):
        return dict(message)
    parts = [
        {"type": "image", "image": next(files)} if _is_picture(part) else part for part in content
    ]
    return {**message, "content": parts}
