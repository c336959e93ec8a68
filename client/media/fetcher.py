"""One object that a gateway or a program keeps: it turns URLs into the files of whole pictures."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TypeVar

import httpx2

from ...transport.patience import Patience, TooSlow
from .checking import check_picture
from .dataurls import decode_data_url, is_data_url
from .downloading import Downloader
from .errors import NOT_IN_TIME, TOO_MANY, BadMedia
from .limits import DEFAULT_LIMITS, Limits
from .metering import Allowance
from .policy import DEFAULT_POLICY, Policy
from .resolving import Resolver, SystemResolver

T = TypeVar("T")


class Fetcher:
    """Belongs to the loop of its first `fetch`."""

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        policy: Policy = DEFAULT_POLICY,
        *,
        resolver: Resolver | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`trust`: whose certificates count; the system's by default."""
        self._limits = limits
        self._resolver = resolver or SystemResolver()
        trust = trust or httpx2.create_ssl_context(trust_env=False)
        self._downloader = Downloader(limits, policy, self._resolver, trust)
        self._places = asyncio.Semaphore(limits.fetches)
        self._decoding: Patience | None = None
        self._closed = False

    async def fetch(self, url: str) -> bytes:
        """The file of a picture that is whole and within the limits; BadMedia for anything else."""
        return await self._fetch(url, Allowance(self._limits))

    async def fetch_all(self, urls: Sequence[str]) -> list[bytes]:
        """The pictures of one request, in order; a URL that stands there twice is fetched once.

        BadMedia of the first that fails, which ends the others, or for all of them together.
        """
        if len(urls) > self._limits.items:
            raise BadMedia(413, TOO_MANY.format(items=self._limits.items, got=len(urls)))
        allowance = Allowance(self._limits)
        turn = asyncio.Semaphore(self._limits.at_once)

        async def one(url: str) -> bytes:
            async with turn:
                return await self._fetch(url, allowance)

        try:
            async with asyncio.timeout(self._limits.request_s), asyncio.TaskGroup() as group:
                tasks = {url: group.create_task(one(url)) for url in dict.fromkeys(urls)}
        except TimeoutError as error:
            raise BadMedia(408, NOT_IN_TIME) from error
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [tasks[url].result() for url in urls]

    async def close(self) -> None:
        """Fetch no more; what is under way ends by itself, within its time."""
        self._closed = True
        self._resolver.close()
        if self._decoding is not None:
            self._decoding.close()

    async def _fetch(self, url: str, allowance: Allowance) -> bytes:
        if self._closed:
            raise RuntimeError("expected an open fetcher, got a closed one")
        # what came with the request waits for no server
        place = nullcontext() if is_data_url(url) else self._places
        try:
            async with asyncio.timeout(self._limits.item_s), place:
                data = await self._file(url, allowance)
                check = partial(check_picture, data, self._limits)
                allowance.take_pixels(await self._in_thread(check))
        except (TimeoutError, TooSlow) as error:
            raise BadMedia(408, NOT_IN_TIME) from error
        return data

    async def _file(self, url: str, allowance: Allowance) -> bytes:
        if not is_data_url(url):
            return await self._downloader.download(url, allowance)
        data = await self._in_thread(partial(decode_data_url, url, self._limits))
        allowance.take_bytes(len(data))
        return data

    def _in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        if self._decoding is None:
            self._decoding = Patience(self._limits.decodes, self._limits.decode_s, "pictures")
        return self._decoding.run(work)
