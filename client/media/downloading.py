"""A picture's file by HTTP: one connection for each request, nothing kept between them.

No proxies of the environment, no cookies, no credentials, no compressed transfers: httpcore2 alone
has none of these, and what it is asked is written here in full.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import httpcore2
import httpx2

from .connecting import PinnedBackend
from .errors import NOT_FETCHED, TOO_LARGE, BadMedia, no_picture
from .limits import Limits
from .metering import Allowance, Meter
from .policy import Policy
from .resolving import Resolver
from .urls import read_redirect, read_url

REDIRECTS = frozenset({301, 302, 303, 307, 308})
OPAQUE = frozenset({b"application/octet-stream", b"binary/octet-stream"})  # what stores call files
FREE_PIECES = 256  # from then on a chunk must have
LEAST_PIECE = 128  # bytes, on average: each costs the event loop as much as a large one
_ASKED = (
    (b"Accept", b"image/*"),
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"close"),
    (b"User-Agent", b"modserve"),
)


@dataclass(frozen=True, slots=True)
class Downloader:
    limits: Limits
    policy: Policy
    resolver: Resolver
    trust: ssl.SSLContext

    async def download(self, url: str, allowance: Allowance) -> bytes:
        """BadMedia, or TimeoutError where a server is too slow."""
        target = read_url(url, self.limits.url_chars)
        try:
            async with asyncio.timeout(None) as timer:
                return await self._follow(target, Meter(self.limits, timer), allowance)
        except TimeoutError:
            raise  # an OSError, too
        except httpcore2.TimeoutException as error:
            raise TimeoutError from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            raise BadMedia(400, NOT_FETCHED) from error

    async def _follow(self, url: httpx2.URL, meter: Meter, allowance: Allowance) -> bytes:
        for _ in range(self.limits.redirects + 1):
            answer = await self._get(url, meter, allowance)
            if isinstance(answer, bytes):
                return answer
            url = answer
        raise BadMedia(400, NOT_FETCHED)

    async def _get(self, url: httpx2.URL, meter: Meter, allowance: Allowance) -> bytes | httpx2.URL:
        """The body, or where it is said to be."""
        target = httpcore2.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        backend = PinnedBackend(self.policy, self.resolver, meter, self.limits.connect_s)
        connection = httpcore2.AsyncHTTPConnection(
            target.origin, self.trust, network_backend=backend
        )
        headers = [(b"Host", url.netloc), *_ASKED]
        meter.expect_head()
        try:
            async with connection.stream("GET", target, headers=headers) as response:
                head = {name.lower(): value for name, value in response.headers}
                if response.status in REDIRECTS and b"location" in head:
                    return read_redirect(url, head[b"location"], self.limits.url_chars)
                self._check_head(response.status, head)
                meter.expect_body()
                return await self._body(response, allowance)
        finally:
            await backend.aclose()

    def _check_head(self, status: int, head: Mapping[bytes, bytes]) -> None:
        if status != 200:
            raise BadMedia(400, NOT_FETCHED)
        kind = head.get(b"content-type", b"image/").partition(b";")[0].strip().lower()
        if not kind.startswith(b"image/") and kind not in OPAQUE:
            raise no_picture(self.limits)
        if head.get(b"content-encoding", b"identity").strip().lower() != b"identity":
            raise no_picture(self.limits)
        if int(head.get(b"content-length", 0)) > self.limits.bytes:
            raise BadMedia(413, TOO_LARGE.format(bytes=self.limits.bytes))

    async def _body(self, response: httpcore2.Response, allowance: Allowance) -> bytes:
        body = bytearray()
        pieces = 0
        async for piece in response.aiter_stream():
            body += piece
            pieces += 1
            allowance.take_bytes(len(piece))
            if len(body) > self.limits.bytes:
                raise BadMedia(413, TOO_LARGE.format(bytes=self.limits.bytes))
            if len(body) < (pieces - FREE_PIECES) * LEAST_PIECE:
                raise BadMedia(400, NOT_FETCHED)
        return bytes(body)
