"""top: workers, queues, latencies and decisions, drawn anew every second."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console

from ...client import AsyncClient
from ..options import DEFAULT_ENDPOINT, Controller, Keys, seconds
from ..termination import interrupted_by_sigterm
from .frame import frame
from .glyphs import glyphs_for
from .live import LiveView
from .terminal import check
from .view import View
from .watching import Watching

WIDTH, HEIGHT = 80, 24  # of a frame that goes to no terminal
TIMEOUT_S = 5.0


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl top --interval 2s")(top)


def top(
    once: Annotated[
        bool, typer.Option("--once", help="Print a single frame, of 80 x 24 off a terminal.")
    ] = False,
    interval: Annotated[
        str, typer.Option(metavar="TIME", help="Between two looks at the controller.")
    ] = "1s",
    controller: Controller = DEFAULT_ENDPOINT,
    keys: Keys = None,
) -> None:
    """Show workers, queues, latencies, memory and decisions about workers, until q is pressed.

    Keys: s sorts by another column, p pauses, j and k (or the arrows) select a worker, d drains
    it, q leaves.
    """
    client = AsyncClient(controller, timeout_s=TIMEOUT_S, keys=keys)
    interval_s = seconds(interval)
    console = Console(highlight=False)
    if not once:
        check(console)
    with interrupted_by_sigterm():
        asyncio.run(_once(client, console) if once else _live(client, console, interval_s))


async def _once(client: AsyncClient, console: Console) -> None:
    async with client:
        seen = await Watching(client).look()
    terminal = console.is_terminal
    width, height = console.size if terminal else (WIDTH, HEIGHT)
    glyphs = glyphs_for(console.encoding)
    for line in frame(seen, View(), width, height - 1 if terminal else height, glyphs):
        if terminal:
            console.print(line)
        else:
            print(line.plain.rstrip())
    sys.stdout.flush()


async def _live(client: AsyncClient, console: Console, interval_s: float) -> None:
    async with client:
        await LiveView(client, console, glyphs_for(console.encoding), interval_s).run()
