"""One object that a gateway or a program keeps: it turns URLs into the bytes of whole pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from ...transport.patience import Patience, TooSlow
from .checking import check_picture
from .dataurls import decode_data_url, is_data_url
from .errors import NOT_A_URL, NOT_IN_TIME, BadMedia
from .limits import DEFAULT_LIMITS, Limits

T = TypeVar("T")


class Fetcher:
    """Belongs to the loop of its first `fetch`."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._decoding: Patience | None = None
        self._closed = False

    async def fetch(self, url: str) -> bytes:
        """The file of a picture that is whole and within the limits; BadMedia for anything else."""
        try:
            async with asyncio.timeout(self._limits.item_s):
                if is_data_url(url):
                    data = await self._in_thread(partial(decode_data_url, url, self._limits))
                else:
                    raise BadMedia(400, NOT_A_URL)
                await self._in_thread(partial(check_picture, data, self._limits))
        except (TimeoutError, TooSlow) as error:
            raise BadMedia(408, NOT_IN_TIME) from error
        return data

    async def close(self) -> None:
        """Fetch no more; what is under way ends by itself, within its time."""
        self._closed = True
        if self._decoding is not None:
            self._decoding.close()

    def _in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        if self._closed:
            raise RuntimeError("expected an open fetcher, got a closed one")
        if self._decoding is None:
            self._decoding = Patience(self._limits.decodes, self._limits.decode_s, "pictures")
        return self._decoding.run(work)
