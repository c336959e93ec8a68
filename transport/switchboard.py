"""The links of one port: found by peer, counted, closed when idle. All on the loop's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count

from .links import CONSUMER, Link, LinkKey

REST_S = 2.0

Plug = Callable[[LinkKey, int], Link]  # makes the link of this key and number


class Switchboard:
    """`closing(link, reason)` is told of every link that is closed from here, before it ends."""

    def __init__(
        self,
        plug: Plug,
        closing: Callable[[Link, str], None],
        *,
        max_links: int,
        idle_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._plug = plug
        self._closing = closing
        self._max_links = max_links
        self._idle_s = idle_s
        self._clock = clock
        self._open: dict[LinkKey, Link] = {}  # least recently used first
        self._ending: set[Link] = set()  # closed, the thread not back yet
        self._numbers = count(1)
        self._highest: dict[tuple[str, int], int] = {}  # number that a consumer opened with us
        self._changed = asyncio.Event()

    async def to_owner(self, peer: str, epoch: int) -> Link:
        """The link on which that process sends to us; where all are busy, after one is not."""
        key = LinkKey(CONSUMER, peer, epoch)
        while key not in self._open and not self._make_room():
            self._changed.clear()
            await self._changed.wait()
        return self._use(key) if key in self._open else self._add(key, next(self._numbers))

    def to_consumer(self, key: LinkKey, number: int) -> Link | None:
        """The link that the consumer means; None if it was closed here before."""
        if number > self._highest.get(key[1:], 0):
            if key in self._open:
                self.close(self._open[key], "the consumer has opened another link")
            # Consumers bound the links to us: one each. Refusing one could starve it for ever.
            self._make_room()
            self._highest[key[1:]] = number
            return self._add(key, number)
        link = self.find(key, number)
        return self._use(key) if link else None

    def find(self, key: LinkKey, number: int) -> Link | None:
        link = self._open.get(key)
        return link if link and link.number == number else None

    def idle(self, link: Link) -> None:
        """One transfer less."""
        link.busy -= 1
        link.used_at = self._clock()
        self._changed.set()

    def close(self, link: Link, reason: str) -> None:
        del self._open[link.key]
        self._ending.add(link)
        self._closing(link, reason)
        link.drop(reason)
        self._changed.set()

    def close_idle(self) -> None:
        before = self._clock() - self._idle_s
        for link in [link for link in self._unused() if link.used_at < before]:
            self.close(link, "idle")
        self._changed.set()  # what was still resting may make room now

    def close_peer(self, peer: str, reason: str, *, epoch: int | None, keep: int | None) -> None:
        """The links with one process of that name, or with all but the one to keep."""
        for key, link in list(self._open.items()):
            if key.peer == peer and epoch in (None, key.epoch) and key.epoch != keep:
                self.close(link, reason)

    def close_all(self, reason: str) -> None:
        for link in list(self._open.values()):
            self.close(link, reason)

    def ended(self, link: Link) -> bool:
        """The link's thread is back; whether it ended by itself."""
        self._ending.discard(link)
        self._changed.set()
        return self._open.get(link.key) is link and self._open.pop(link.key) is link

    async def all_ended(self) -> None:
        while self._ending:
            self._changed.clear()
            await self._changed.wait()

    @property
    def open(self) -> int:
        return len(self._open)

    @property
    def threads(self) -> int:
        return sum(link.started for link in (*self._open.values(), *self._ending))

    def _unused(self) -> Iterator[Link]:
        return (link for link in self._open.values() if not link.busy)

    def _spare(self) -> Iterator[Link]:
        """What the owner has sent may still be on its way: its links rest before they go."""
        rested = self._clock() - REST_S
        for link in self._unused():
            if link.key.rank == CONSUMER or link.used_at < rested:
                yield link

    def _make_room(self) -> bool:
        if len(self._open) >= self._max_links and (link := next(self._spare(), None)):
            self.close(link, "idle, and another is needed")
        return len(self._open) < self._max_links

    def _add(self, key: LinkKey, number: int) -> Link:
        self._open[key] = self._plug(key, number)
        return self._use(key)

    def _use(self, key: LinkKey) -> Link:
        """One transfer more; the most recently used is last."""
        link = self._open[key] = self._open.pop(key)
        link.busy += 1
        return link
