"""trace: where the time of one request went, mark by mark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...client import Client
from ..options import DEFAULT_ENDPOINT, Controller, Json, Keys
from ..printing import console, print_json
from ..saving import check_place, save
from ..top.glyphs import glyphs_for
from .chrome import chrome
from .timeline import plain, timeline

WIDTH = 100  # off a terminal


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl trace 3f2a9c1d --chrome trace.json")(trace)


def trace(
    request_id: Annotated[
        str,
        typer.Argument(metavar="[REQUEST_ID]", help="By default the one that ended last."),
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option(
            "--chrome",
            metavar="FILE",
            help="Write a trace-event file, for chrome://tracing or ui.perfetto.dev.",
        ),
    ] = None,
    controller: Controller = DEFAULT_ENDPOINT,
    keys: Keys = None,
    json: Json = False,
) -> None:
    """Show the story of a request: what it waited for, who computed it, and how long.

    The controller remembers those that are open, and the last 2,000 that ended.
    """
    check_place(file)
    with Client(controller, keys=keys) as client:
        told = client.trace(request_id)
    if file is not None:
        save(chrome(told), file)
    if json:
        print_json(told)
        return
    out = console()
    if out.is_terminal:
        for line in timeline(told, out.width, glyphs_for(out.encoding)):
            out.print(line)
    else:
        print(plain(timeline(told, WIDTH, glyphs_for(out.encoding))), flush=True)
