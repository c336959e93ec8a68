"""Where pictures may come from: a list of what is allowed, one of what is denied, and the rest.

A name never opens the inner network, whoever is listed: what it resolves to is its owner's choice.
Only an address or a network on the allow list does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_network
from typing import Self

import httpx2

from ..errors import BadInput
from .addresses import Address, Network, is_global

PORTS = frozenset({80, 443})


class Rest(Enum):
    """What is on neither list."""

    GLOBAL = "global"  # may be asked, at global addresses
    NOTHING = "nothing"  # may not


@dataclass(frozen=True, slots=True)
class Entry:
    """Of a list: a host, all hosts below one, or a network; at one port or at any."""

    place: str | Network  # ".example.com": every host below
    port: int | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """From `host`, `*.host`, an address or a network, with `:port` or without; IPv6 with a
        port in brackets, `[fd00::/8]:8000`. Raises BadInput."""
        place, port = _divided(text)
        try:
            return cls(ip_network(place), port)
        except ValueError:
            pass
        try:
            host = httpx2.URL(f"http://{place.removeprefix('*.')}/").raw_host.decode()
        except httpx2.InvalidURL as error:
            raise _no_entry(text) from error
        if not host or "%" in host or set(place.removeprefix("*.")) & set("*/?#@:"):
            raise _no_entry(text)
        return cls(f".{host}" if place.startswith("*.") else host, port)

    def covers(self, host: str, port: int, address: Address) -> bool:
        if self.port not in (None, port):
            return False
        if not isinstance(self.place, str):
            return address in self.place
        return host == self.place or (self.place.startswith(".") and host.endswith(self.place))

    @property
    def is_network(self) -> bool:
        return not isinstance(self.place, str)


@dataclass(frozen=True, slots=True)
class Policy:
    """Deny comes before allow."""

    allow: tuple[Entry, ...] = ()
    deny: tuple[Entry, ...] = ()
    rest: Rest = Rest.GLOBAL
    ports: frozenset[int] = PORTS  # of entries without one, and of the rest

    @classmethod
    def of(
        cls,
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        rest: Rest = Rest.GLOBAL,
        ports: Iterable[int] = PORTS,
    ) -> Self:
        """From entries as they are written; raises BadInput."""
        allowed, denied = (tuple(map(Entry.read, entries)) for entries in (allow, deny))
        return cls(allowed, denied, rest, frozenset(ports))

    def permits(self, host: str, port: int, address: Address, *, own: bool = False) -> bool:
        """`host`: as the URL has it, in ASCII; `own`: the address is one of this machine's."""
        if any(entry.covers(host, port, address) for entry in self.deny):
            return False
        listed = [entry for entry in self.allow if entry.covers(host, port, address)]
        if (own or not is_global(address)) and not any(entry.is_network for entry in listed):
            return False
        if self.rest is Rest.NOTHING and not listed:
            return False
        return port in self.ports or any(entry.port == port for entry in listed)


DEFAULT_POLICY = Policy()


def _divided(text: str) -> tuple[str, int | None]:
    """The place and the port of an entry."""
    place, colon, port = text.rpartition(":")
    if not colon or (":" in place and not place.endswith("]")):
        place, port = text, ""
    if port and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 2**16):
        raise _no_entry(text)
    return place.removeprefix("[").removesuffix("]"), int(port) if port else None


def _no_entry(text: str) -> BadInput:
    return BadInput(
        f"expected a host, *.host, an address or a network, perhaps with :port, got {text!r}"
    )
