"""Sending an `Ask` to a served model, and checking what comes back."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Coroutine, Sequence
from functools import cache
from typing import Any

from PIL import Image

from modserve.client import Answer, AsyncClient
from modserve.client.asynchronous import AsyncStream

from .references import IMAGE, Ask, Reference, picture, user, words

TEST_S = 120.0


def run(body: Coroutine[Any, Any, None], deadline_s: float = TEST_S) -> None:
    """Drive an asynchronous test, with a deadline."""

    async def bounded() -> None:
        async with asyncio.timeout(deadline_s):
            await body

    asyncio.run(bounded())


@cache
def png(width: int, height: int, seed: int) -> bytes:
    return png_of(picture(width, height, seed))


def png_of(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def stream(client: AsyncClient, ask: Ask, reference: Reference) -> AsyncStream:
    """As a chat with its images inside, or as token ids with the images beside them."""
    files = iter([png(*one) for one in ask.images])
    options: Any = {"max_tokens": ask.tokens, "ignore_eos": True, **ask.options}
    if ask.ids:
        return client.stream(None, list(files), token_ids=reference.prompt(ask), **options)
    chat = [
        {**turn, "content": [_filled(part, files) for part in turn["content"]]} for turn in ask.chat
    ]
    return client.stream(chat, **options)


def _filled(part: dict[str, Any], files: Any) -> dict[str, Any]:
    return part | {"image": next(files)} if part["type"] == "image" else part


async def answer(client: AsyncClient, ask: Ask, reference: Reference) -> Answer:
    async with stream(client, ask, reference) as reading:
        return await reading.rest()


async def answers(client: AsyncClient, asks: Sequence[Ask], reference: Reference) -> list[Answer]:
    """All at once."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(answer(client, ask, reference)) for ask in asks]
    return [task.result() for task in tasks]


def text_asks(tokens: int = 16, seed: int = 0) -> list[Ask]:
    """Eight text requests, short and longer than a chunk, as chats and as ids."""
    chat = ({"role": "system", "content": [{"type": "text", "text": "Be brief, naïve 🙂."}]},)
    return [
        Ask(chat=(user(f"Hello {seed}"),), tokens=tokens),
        Ask(chat=(*chat, user("What is the time in 日本? " * 6)), tokens=tokens),
        *(Ask(ids=words(count, seed + count), tokens=tokens) for count in (1, 7, 39, 40, 41, 130)),
    ]


def image_asks(tokens: int = 16, seed: int = 0) -> list[Ask]:
    """One image, tall, wide and tiny; three of different shapes; one twice; chats and ids."""
    one, wide, tall = (60, 50, seed), (150, 41, seed), (30, 170, seed)
    tiny = (1, 90, seed)
    longer = words(60, seed)
    return [
        Ask(chat=(user("What is this?", 1),), images=(one,), tokens=tokens),
        Ask(chat=(user("Compare them, please.", 3),), images=(one, wide, tall), tokens=tokens),
        Ask(chat=(user("And alone? " * 9, 1),), images=(wide,), tokens=tokens),
        Ask(
            chat=(
                user("First.", 1),
                {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
                user("Then.", 2),
            ),
            images=(tiny, tall, tiny),
            tokens=tokens,
        ),
        Ask(ids=(*longer, IMAGE, 5, 6, 7), images=(tall,), tokens=tokens),
        Ask(ids=(5, IMAGE, *longer, IMAGE, IMAGE, 9), images=(wide, one, tiny), tokens=tokens),
    ]


def mixed_asks(tokens: int = 16, seed: int = 0) -> list[Ask]:
    """Eight: six with images, two without."""
    return image_asks(tokens, seed) + text_asks(tokens, seed)[1::6]
