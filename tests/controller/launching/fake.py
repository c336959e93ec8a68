"""A launcher that starts nothing and does what a test tells it; test_launchers.py verifies it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum, auto

from modserve.controller.launching.launcher import (
    CannotLaunch,
    Launched,
    Order,
    WorkerEnded,
)


class Manner(Enum):
    WORKS = auto()
    FAILS = auto()
    BREAKS = auto()  # with an error that nobody expects of a launcher
    HANGS = auto()
    IGNORES = auto()  # hangs, and does not even end when it is cancelled


class Fake:
    """`asked` are the names it was asked to launch, `stopped` those that it ended."""

    kind = "fake"

    def __init__(self, *manners: Manner) -> None:
        """One manner for each launch; the last one goes on for ever."""
        self._manners = list(manners) or [Manner.WORKS]
        self.asked: list[str] = []
        self.under_way = self.most_under_way = 0
        self.running: set[str] = set()
        self.stopped: list[str] = []
        self.stops = Manner.WORKS  # how it ends processes
        self.closed = False
        self._ended: list[WorkerEnded] = []
        self._released = asyncio.Event()
        self.news = asyncio.Event()  # after each call

    def release(self) -> None:
        """What hangs goes on, and works."""
        self._released.set()

    def die(self, name: str, reason: str) -> None:
        self.running.discard(name)
        self._ended.append(WorkerEnded(name, reason))

    async def launch(self, order: Order) -> Launched:
        manner = self._manners.pop(0) if len(self._manners) > 1 else self._manners[0]
        self.asked.append(order.name)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.news.set()
        try:
            await self._act(manner)
        finally:
            self.under_way -= 1
        self.running.add(order.name)
        return Launched(order.name, "nowhere")

    async def stop(self, name: str) -> None:
        await self._act(self.stops)
        if name in self.running:
            self.running.discard(name)
        self.stopped.append(name)
        self.news.set()

    def ended(self) -> Sequence[WorkerEnded]:
        found, self._ended = self._ended, []
        return found

    async def close(self) -> None:
        await self._act(self.stops)
        self.running.clear()
        self.closed = True

    async def _act(self, manner: Manner) -> None:
        match manner:
            case Manner.FAILS:
                raise CannotLaunch("no room on any host")
            case Manner.BREAKS:
                raise KeyError("a bug of the launcher")
            case Manner.HANGS:
                await self._released.wait()
            case Manner.IGNORES:
                while not self._released.is_set():
                    with suppress(asyncio.CancelledError):
                        await self._released.wait()
