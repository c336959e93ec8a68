"""Connections to the addresses that were checked, and to no others.

httpcore2 asks this backend for every connection and passes the host of the URL; what is decided
here is decided on the address that the socket is then given. TLS and the Host header keep the name.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore2

from .addresses import Address, address_of
from .errors import NOT_FETCHED, BadMedia
from .metering import Meter
from .policy import Policy
from .resolving import Resolver

MOST_TRIED = 3  # addresses of a host
PIECE = 16 * 2**10  # bytes read at once: a parser between two reads holds up everybody else


class PinnedBackend(httpcore2.AsyncNetworkBackend):
    """For one request of HTTP."""

    def __init__(self, policy: Policy, resolver: Resolver, meter: Meter, connect_s: float) -> None:
        """`connect_s`: for each address, and for TLS."""
        self._policy, self._resolver, self._meter = policy, resolver, meter
        self._connect_s = connect_s
        self._open: httpcore2.AsyncNetworkStream | None = None
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        failed: Exception | None = None
        for address in (await self._addresses(host, port))[:MOST_TRIED]:
            try:
                stream = await self._sockets.connect_tcp(str(address), port, self._connect_s)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
                continue
            self._open = stream
            if not self._policy.permits(host, port, address, own=_is_own(stream)):
                break
            return MeteredStream(stream, self._meter, self._connect_s)
        raise failed or BadMedia(400, NOT_FETCHED)

    async def aclose(self) -> None:
        """Close the connection: a handshake that was cancelled has left it open."""
        if self._open is not None:
            await self._open.aclose()

    async def _addresses(self, host: str, port: int) -> Sequence[Address]:
        """Resolved once. A name that leads inside by one of its addresses is refused for all."""
        literal = address_of(host)
        found = [literal] if literal is not None else await self._resolver.resolve(host)
        if not found or not all(self._policy.permits(host, port, address) for address in found):
            raise BadMedia(400, NOT_FETCHED)
        return found


def _is_own(stream: httpcore2.AsyncNetworkStream) -> bool:
    """Whether it ends at this machine: then the system has chosen one address for both ends."""
    ours, theirs = stream.get_extra_info("client_addr"), stream.get_extra_info("server_addr")
    return bool(ours[0] == theirs[0])


class MeteredStream(httpcore2.AsyncNetworkStream):
    """Small reads, each told to the meter."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream, meter: Meter, tls_s: float) -> None:
        self._stream, self._meter, self._tls_s = stream, meter, tls_s

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        data = await self._stream.read(min(max_bytes, PIECE), timeout)
        self._meter.took(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        secured = await self._stream.start_tls(ssl_context, server_hostname, self._tls_s)
        return MeteredStream(secured, self._meter, self._tls_s)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
