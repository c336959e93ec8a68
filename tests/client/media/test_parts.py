"""A chat of OpenAI's clients becomes one that our client takes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modserve.client.errors import BadInput
from modserve.client.media import BadMedia, Fetcher
from modserve.client.media.parts import fetched
from modserve.client.prompts import Files, turns_of
from modserve.transport.messages import ImagePart, TextPart, Turn

from .files import data_url, picture
from .servers import TRUST

A, B = picture(), picture("JPEG")


def by_url(data: bytes, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(data), **more}}


def _fetched(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    async def done() -> list[dict[str, Any]]:
        fetcher = Fetcher(trust=TRUST)
        try:
            return await fetched(messages, fetcher)
        finally:
            await fetcher.close()

    return asyncio.run(done())


def test_pictures_by_url_become_files_in_their_places() -> None:
    text = {"type": "text", "text": "And this?"}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [by_url(A), text, by_url(B, detail="auto")]},
        {"role": "user", "content": [{"type": "image", "image": A}, by_url(B)]},
    ]
    files = Files()
    turns = turns_of(_fetched(messages), (), files)
    assert files.frames == [A, B, A, B]
    assert turns == (
        Turn("system", (TextPart("Be brief."),)),
        Turn("user", (ImagePart(0), TextPart("And this?"), ImagePart(1))),
        Turn("user", (ImagePart(2), ImagePart(3))),
    )


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url"},
        {"type": "image_url", "image_url": data_url(A)},
        {"type": "image_url", "image_url": {"uri": data_url(A)}},
        by_url(A, detail="high"),
        {**by_url(A), "cache": True},
    ],
)
def test_a_part_that_is_none_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"expected .*image_url.* got a part of type"):
        _fetched([{"role": "user", "content": [part]}])


def test_a_bad_picture_is_one_sentence() -> None:
    with pytest.raises(BadMedia, match="whole, still picture"):
        _fetched([{"role": "user", "content": [by_url(b"no picture")]}])
