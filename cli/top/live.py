"""The live view: a task that looks, a reader that hears keys, and a frame after either."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from rich.console import Console, Group
from rich.live import Live

from ...client import AsyncClient, ModserveError
from .frame import frame
from .glyphs import Glyphs
from .keys import Key
from .terminal import listening
from .view import Drain, Quit, View, pressed, sorted_by
from .watching import Watching

DRAIN_S = 300.0  # after which a drain is not waited for; it goes on


class LiveView:
    """`run` returns when somebody pressed q."""

    def __init__(
        self, client: AsyncClient, console: Console, glyphs: Glyphs, interval_s: float
    ) -> None:
        self._client, self._console, self._glyphs = client, console, glyphs
        self._interval_s = interval_s
        self._watching = Watching(client)
        self._view = View()
        self._quit = asyncio.Event()
        self._orders: set[asyncio.Task[None]] = set()
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._drawn = console.size

    async def run(self) -> None:
        """Raises ModserveError where the controller does not answer at first."""
        await self._watching.look()
        with self._live, listening(self._hear), _resized(self._draw):
            self._draw()
            looking = asyncio.create_task(self._look_again())
            try:
                await self._quit.wait()
            finally:
                for task in (looking, *self._orders):
                    task.cancel()

    async def _look_again(self) -> None:
        """A frame that is paused stays, and nobody is asked for another; it is only drawn anew for
        a window of another size, of which not everything between it and us may have told."""
        while True:
            await asyncio.sleep(self._interval_s)
            if not self._view.paused:
                await self._watching.look()
                self._draw()
            elif self._console.size != self._drawn:
                self._draw()

    def _draw(self) -> None:
        seen, size = self._watching.seen, self._console.size
        if seen is not None:
            self._drawn = size
            lines = frame(seen, self._view, size.width, size.height, self._glyphs)
            self._live.update(Group(*lines), refresh=True)

    def _hear(self, key: Key) -> None:
        seen = self._watching.seen
        workers = sorted_by(self._view.sort, seen.workers) if seen else []
        self._view, order = pressed(self._view, key, [one["name"] for one in workers])
        match order:
            case Quit():
                self._quit.set()
            case Drain(name):
                task = asyncio.get_running_loop().create_task(self._drain(name))
                self._orders.add(task)
                task.add_done_callback(self._orders.discard)
        self._draw()

    async def _drain(self, name: str) -> None:
        try:
            await self._client.remove_worker(name, timeout_s=DRAIN_S)
            told = f"{name} has left"
        except ModserveError as error:
            told = f"{name}: {error}"
        self._view = replace(self._view, notice=" ".join(told.split()))
        self._draw()


@contextmanager
def _resized(draw: Callable[[], None]) -> Iterator[None]:
    """A window of another size is drawn into at once."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, draw)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
