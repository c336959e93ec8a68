"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import re
from math import isnan
from pathlib import Path
from typing import Annotated, Any

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


def positive(value: float) -> float:
    """`value`, if it is above 0, inf too; raises BadParameter."""
    if isnan(value) or value <= 0:
        raise typer.BadParameter(f"expected a number above 0, got {value:g}")
    return value


def option(metavar: str, help: str, **how: Any) -> Any:
    return typer.Option(metavar=metavar, help=help, **how)


def flag(name: str) -> str:
    """As the option of a parameter is typed."""
    return f"--{name.replace('_', '-')}"


def typed(context: typer.Context) -> list[str]:
    """The parameters that the command line has named, defaults left out."""
    sources = {name: str(context.get_parameter_source(name)) for name in context.params}
    return [name for name, source in sources.items() if source.endswith("COMMANDLINE")]


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

__all__ = [
    "DEFAULT_ENDPOINT",
    "Controller",
    "Json",
    "Keys",
    "address",
    "flag",
    "option",
    "positive",
    "seconds",
    "typed",
]
