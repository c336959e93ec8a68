"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from ..client.asynchronous import DEFAULT_ENDPOINT
from ..transport.channels import BadAddress, is_loopback

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def seconds(text: str) -> float:
    """`60s`, `1.5m` or plain `60`; raises BadParameter."""
    found = _DURATION.fullmatch(text)
    if found is None or not float(found[1]):
        raise typer.BadParameter(f"expected a time like 60s or 5m, got {text}")
    return float(found[1]) * _UNITS[found[2]]


def address(text: str) -> str:
    """`text`, if it is an address; raises BadParameter."""
    try:
        is_loopback(text)
    except BadAddress as error:
        raise typer.BadParameter(str(error)) from error
    return text


Controller = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        envvar="MODSERVE_CONTROLLER",
        help="Address of the controller.",
        callback=address,
    ),
]
Keys = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        envvar="MODSERVE_KEYS",
        help="Your keys, as `msctl keygen` made them, where the controller asks for some.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

__all__ = ["DEFAULT_ENDPOINT", "Controller", "Json", "Keys", "address", "seconds"]
