"""From a name to its addresses, once for each connection."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address
from typing import Protocol

from ...transport.patience import Patience
from .addresses import Address

THREADS = 8
LIMIT_S = 10.0  # for a name; a thread that hangs longer is replaced


class Resolver(Protocol):
    async def resolve(self, host: str) -> Sequence[Address]:
        """In the order in which they are to be tried; OSError where the name has none."""
        ...

    def close(self) -> None: ...


class SystemResolver:
    """The C library's, in threads of its own: asyncio's would be shared with everybody else."""

    def __init__(self) -> None:
        self._threads: Patience | None = None

    async def resolve(self, host: str) -> Sequence[Address]:
        if self._threads is None:
            self._threads = Patience(THREADS, LIMIT_S, "names")
        return await self._threads.run(partial(_resolved, host))

    def close(self) -> None:
        if self._threads is not None:
            self._threads.close()


def _resolved(host: str) -> Sequence[Address]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ip_address(str(where[0])) for *_, where in found))
