"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from ..client.asynchronous import DEFAULT_ENDPOINT

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def seconds(text: str) -> float:
    """`60s`, `1.5m` or plain `60`; raises BadParameter."""
    found = _DURATION.fullmatch(text)
    if found is None or not float(found[1]):
        raise typer.BadParameter(f"expected a time like 60s or 5m, got {text}")
    return float(found[1]) * _UNITS[found[2]]


Controller = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS", envvar="MODSERVE_CONTROLLER", help="Address of the controller."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

__all__ = ["DEFAULT_ENDPOINT", "Controller", "Json", "seconds"]
