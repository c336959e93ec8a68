"""scale: so many workers of each role."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Annotated

import typer

from ..client import Client, DeadlinePassed
from ..scheduler.stage import Stage, role_of
from ..transport.complaints import complaint_about_scale
from .options import DEFAULT_ENDPOINT, Controller, Json, Keys, seconds
from .printing import print_json

POLL_S = 0.2
WANTED = re.compile(r"([^=]+)=(-?\d+)")


class NotReached(Exception):
    """A launch was given up; one sentence."""


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl scale encode=3 text=2 --wait")(scale)


def scale(
    wanted: Annotated[
        list[str],
        typer.Argument(
            metavar="ROLE=N…", help="encode, prefill, decode, text or all, and how many of them."
        ),
    ],
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when the numbers are reached.")
    ] = False,
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help="How long to wait for that.")
    ] = "300s",
    controller: Controller = DEFAULT_ENDPOINT,
    keys: Keys = None,
    json: Json = False,
) -> None:
    """Launch workers, or drain some, until there are so many of a role; idle ones leave first.

    Returns at once with what will be done. The controller's --launcher says who starts workers.
    """
    workers, limit_s = _workers(wanted), seconds(timeout)
    with Client(controller, keys=keys) as client:
        scaled = client.scale(workers)
        if not json:
            print("\n".join(scaled.steps), flush=True)
        if wait:
            _wait(client, workers, scaled.after, limit_s)
    if json:
        print_json({"workers": workers, "steps": scaled.steps, "after": scaled.after})


def _workers(wanted: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in wanted:
        match = WANTED.fullmatch(text)
        if match is None:
            raise typer.BadParameter(f"expected a role and a number like encode=3, got {text}")
        if match[1] in found:
            raise typer.BadParameter(f"expected each role once, got {match[1]} twice")
        found[match[1]] = int(match[2])
    complaint = complaint_about_scale(found)
    if complaint is not None:
        raise typer.BadParameter(complaint)
    return found


def _wait(client: Client, workers: Mapping[str, int], after: int, limit_s: float) -> None:
    """Raises NotReached for a launch that was given up, DeadlinePassed."""
    deadline = time.monotonic() + limit_s
    while not _reached(client, workers):
        for event in client.events(after=after):
            after = event.number
            if event.kind == "given-up":
                raise NotReached(event.sentence)
        if time.monotonic() > deadline:
            asked = ", ".join(f"{role}={count}" for role, count in workers.items())
            raise DeadlinePassed(f"expected {asked} within {limit_s:g} s")
        time.sleep(POLL_S)


def _reached(client: Client, workers: Mapping[str, int]) -> bool:
    """So many work, and nobody loads or leaves any more."""
    there, moving = Counter[str](), Counter[str]()
    for worker in client.status()["workers"]:
        role = role_of(frozenset(Stage(stage) for stage in worker["stages"]))
        there[role] += 1
        moving[role] += worker["state"] in ("loading", "draining")
    return all(there[role] == count and not moving[role] for role, count in workers.items())
