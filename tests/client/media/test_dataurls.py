"""Data URLs become the bytes that were put into them, or are refused."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modserve.client.media import BadMedia, Fetcher, Limits
from modserve.client.media.dataurls import PIECE, decode_data_url

from .files import data_url, picture


@given(some.binary(max_size=300), some.sampled_from(["image/png", "IMAGE/JPEG", "image/x;a=b"]))
def test_bytes_come_back(data: bytes, kind: str) -> None:
    assert decode_data_url(data_url(data, kind), Limits()) == data


@pytest.mark.parametrize("size", [0, 1, PIECE // 4 * 3 - 1, PIECE // 4 * 3, PIECE, 3 * PIECE + 1])
def test_long_ones_are_decoded_piece_by_piece(size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    assert decode_data_url(data_url(data), Limits()) == data


def test_the_limit_of_bytes_is_kept_before_anything_is_decoded() -> None:
    with pytest.raises(BadMedia, match="at most 10 bytes, got a larger one") as caught:
        decode_data_url(data_url(bytes(1000)), Limits(bytes=10))
    assert caught.value.status == 413


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_in_a_data_url_is_fetched(kind: str) -> None:
    async def fetched() -> bytes:
        fetcher = Fetcher()
        try:
            return await fetcher.fetch(data_url(picture(kind)))
        finally:
            await fetcher.close()

    assert asyncio.run(fetched()) == picture(kind)
