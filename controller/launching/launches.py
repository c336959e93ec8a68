"""Launches under way: between a controller that never waits and a launcher that may do anything.

    begin ─> waits for its turn ─> the launcher works, up to a deadline ─┬─> Launched, Advised
                  ^                                                      │
                  └── a pause, twice as long after each failure ─────────┴─> LaunchFailed

A launch that is over its deadline is abandoned: nobody waits for the launcher's coroutine, which
may never come back, and what it started is ended by the launcher's `stop`, under a deadline too.
The pause is a few lines of our own: tenacity and stamina would be new dependencies, and neither
counts the failures of one launcher over many orders.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Set
from typing import Any, TypeVar

from .launcher import (
    CannotLaunch,
    Launcher,
    LaunchFailed,
    News,
    Order,
    Outcome,
    WorkerEnded,
)
from .options import LaunchOptions

log = logging.getLogger(__name__)

T = TypeVar("T")


class Launches:
    """`tell` hears what became of each order, on the loop. Needs a running loop."""

    def __init__(
        self, launcher: Launcher, options: LaunchOptions, tell: Callable[[News], None]
    ) -> None:
        self._launcher, self._options, self._tell = launcher, options, tell
        self._loop = asyncio.get_running_loop()
        self._turns = asyncio.Semaphore(options.at_once)
        self._orders: dict[str, Order] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._left: set[asyncio.Task[Any]] = set()  # nobody waits for these
        self._missing: dict[str, float | None] = {}  # launched, and since when not in the crew
        self._failures = 0  # in a row, whoever's
        self._not_before = 0.0

    @property
    def kind(self) -> str:
        return self._launcher.kind

    @property
    def orders(self) -> tuple[Order, ...]:
        """Those that nothing has come of yet, the oldest first."""
        return tuple(self._orders.values())

    def begin(self, order: Order) -> None:
        self._orders[order.name] = order
        task = self._tasks[order.name] = self._loop.create_task(self._carry_out(order))
        task.add_done_callback(lambda _: self._forget(order, task))

    def cancel(self, name: str) -> None:
        """It is not wanted any more; what was started for it is ended."""
        self._orders.pop(name, None)
        if (task := self._tasks.pop(name, None)) is not None:
            task.cancel()
            self._abandon(name)

    def tick(self, crew: Set[str]) -> None:
        """Tell of workers that have ended, and end those that nobody has seen for a while."""
        now = self._loop.time()
        for ended in self._launcher.ended():
            self._missing.pop(ended.name, None)
            self._tell(ended)
        for name, since in self._missing.items():
            if name in crew:
                self._missing[name] = None
            elif since is None:
                self._missing[name] = now
        limit_s = self._options.orphan_s
        for name in [n for n, since in self._missing.items() if since and now - since > limit_s]:
            self._tell(WorkerEnded(name, f"it was ended, {limit_s:g} s after its last word"))
            self._abandon(name)

    def cease(self) -> None:
        """Cancel what is under way."""
        for name in list(self._tasks):
            self.cancel(name)

    async def close(self) -> None:
        """End every process that was started, in `close_s` at most."""
        self.cease()
        limit_s = self._options.close_s
        if not await self._within(self._launcher.close(), limit_s):
            log.warning("%s: expected all workers to end in %g s", self.kind, limit_s)

    async def _carry_out(self, order: Order) -> None:
        for left in reversed(range(self._options.tries)):
            async with self._turns:
                await asyncio.sleep(max(0.0, self._not_before - self._loop.time()))
                outcome = await self._try(order)
            if not isinstance(outcome, str):
                self._failures = 0
                self._missing[order.name] = None
                self._orders.pop(order.name, None)
                self._tell(outcome)
                return
            pause_s = self._pause()
            if not left:
                self._orders.pop(order.name, None)
            self._tell(LaunchFailed(order.name, outcome, pause_s if left else None))

    async def _try(self, order: Order) -> Outcome | str:
        """What came of it, or in one sentence why nothing did."""
        task = self._leave(self._launcher.launch(order))
        limit_s = self._options.launch_s
        try:  # `wait` comes back at its deadline; `timeout` would wait for the coroutine's end
            await asyncio.wait({task}, timeout=limit_s)
        finally:
            task.cancel()
        if not task.done():
            self._abandon(order.name)
            return f"expected {order.name} to be ready in {limit_s:g} s"
        error = task.exception()
        if error is None:
            return task.result()
        if not isinstance(error, CannotLaunch):
            log.error("%s: a launch failed", self.kind, exc_info=error)
        self._abandon(order.name)
        return " ".join(str(error).split()) or type(error).__name__

    def _pause(self) -> float:
        """Seconds until the launcher is asked again, for whatever; launches that fail together
        count once."""
        options, now = self._options, self._loop.time()
        if now >= self._not_before:
            doubled = options.first_pause_s * 2.0 ** min(self._failures, 30)
            self._failures += 1
            self._not_before = now + min(options.longest_pause_s, doubled)
        return self._not_before - now

    def _abandon(self, name: str) -> None:
        """End what was started under that name, without waiting for it."""
        self._missing.pop(name, None)
        self._leave(self._within(self._launcher.stop(name), self._options.stop_s))

    async def _within(self, work: Coroutine[Any, Any, None], limit_s: float) -> bool:
        """Whether it came to an end in time; it is not waited for any longer."""
        task = self._leave(work)
        await asyncio.wait({task}, timeout=limit_s)
        if not task.done():
            task.cancel()
            return False
        return True

    def _leave(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that nobody has to wait for, and whose error is not lost."""
        task = self._loop.create_task(work)
        self._left.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._left.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("%s: %s", self.kind, error)

    def _forget(self, order: Order, task: asyncio.Task[None]) -> None:
        if self._tasks.get(order.name) is task:
            del self._tasks[order.name]
