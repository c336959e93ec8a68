"""The options of start-controller that say how it launches workers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..controller.launching.options import LaunchOptions, Resources

Launcher = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Who starts the workers that `msctl scale` asks for: manual (it tells you what to "
        "type, the default), local (processes of this host) or ray (a Ray cluster that is there).",
    ),
]
Gpus = Annotated[
    str | None,
    typer.Option(
        metavar="N,N",
        help="GPUs of this host that --launcher local gives to workers, one each; where all are "
        "taken, and without this option, workers get the CPU.",
    ),
]
DataHost = Annotated[
    str | None,
    typer.Option(
        metavar="HOST",
        help="Address of this host that other workers send tensors to, for --launcher local where "
        "the controller is on a network.",
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Of the Ray cluster for --launcher ray.",
        show_default="auto",
    ),
]
RayResources = Annotated[
    str | None,
    typer.Option(
        metavar="ROLE=NEED,…",
        help="What Ray sets apart for a worker, as encode=2cpu,text=4cpu+1gpu; 1cpu by default.",
    ),
]


def launching(
    told: LaunchOptions,
    launcher: str | None,
    gpus: str | None,
    data_host: str | None,
    ray_address: str | None,
    ray_resources: str | None,
) -> LaunchOptions:
    """What a file told, but for what is given here; raises BadParameter."""
    given = {
        "launcher": launcher,
        "gpus": None if gpus is None else _gpus(gpus),
        "data_host": data_host,
        "ray_address": ray_address,
        "resources": None if ray_resources is None else dict(_needs(ray_resources)),
    }
    named: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return replace(told, **named)


def _gpus(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"(\d+(,\d+)*)?", text):
        raise typer.BadParameter(f"expected GPU numbers like 0,1, got {text}", param_hint="--gpus")
    return tuple(int(one) for one in text.split(",") if one)


def _needs(text: str) -> Iterator[tuple[str, Resources]]:
    from ..controller.launching.needs import need  # takes a moment to import

    for one in filter(None, text.split(",")):
        role, _, what = one.partition("=")
        try:
            yield role, need(role, what)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--ray-resources") from error
