"""Time that passes instead of work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def at(loop: asyncio.AbstractEventLoop, when: float, call: Callable[[], None]) -> asyncio.Handle:
    """Call at that time of the loop; timers are as coarse as a millisecond, so what is due is
    called as soon as everything that waits has been."""
    return loop.call_at(when, call) if when > loop.time() else loop.call_soon(call)


class Lane:
    """Does one thing after another."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.free_at = 0.0

    def take(self, seconds: float, call: Callable[[], None]) -> asyncio.Handle:
        """Call when everything before it and `seconds` of its own are over."""
        self.free_at = max(self.free_at, self._loop.time()) + seconds
        return at(self._loop, self.free_at, call)
