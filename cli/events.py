"""events: what happened to the workers, and what was decided about them."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated

import typer
from msgspec.structs import asdict

from ..client import Client
from ..transport.messages import Event
from .options import DEFAULT_ENDPOINT, Controller, Keys, seconds
from .printing import print_json

POLL_S = 0.3


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl events --since 10m --follow")(events)


def events(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on showing what happens, until ctrl-C.")
    ] = False,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="How long ago the first one may be; all by default.")
    ] = "",
    controller: Controller = DEFAULT_ENDPOINT,
    keys: Keys = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object; with --follow one for each event."),
    ] = False,
) -> None:
    """Show joins, losses, drains, launches and decisions, with their reasons."""
    begin = time.time() - seconds(since) if since else 0.0
    with Client(controller, keys=keys) as client:
        found = client.events(since=begin)
        if json and not follow:
            print_json({"events": [asdict(event) for event in found]})
            return
        last = _show(found, 0, as_json=json)
        while follow:  # until ctrl-C
            time.sleep(POLL_S)
            last = _show(client.events(after=last, since=begin), last, as_json=json)


def _show(found: list[Event], last: int, *, as_json: bool) -> int:
    """The number of the last one that was shown."""
    for event in found:
        if as_json:
            print_json(asdict(event))
        else:
            when = datetime.fromtimestamp(event.time).astimezone()
            print(f"{when:%Y-%m-%d %H:%M:%S}  {event.kind:<13}  {event.sentence}", flush=True)
    return found[-1].number if found else last
