"""The options of start-controller that say how it launches workers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from ..scheduler.stage import ROLES

if TYPE_CHECKING:
    from ..controller.launching.options import LaunchOptions, Resources

NEED = re.compile(r"(\w+)=(\d+(?:\.\d+)?)cpu(?:\+(\d+(?:\.\d+)?)gpu)?")

Launcher = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Who starts the workers that `msctl scale` asks for: manual (it tells you what to "
        "type, the default), local (processes of this host) or ray (a Ray cluster that is there).",
    ),
]
Gpus = Annotated[
    str,
    typer.Option(
        metavar="N,N",
        help="GPUs of this host that --launcher local gives to workers, one each; where all are "
        "taken, and without this option, workers get the CPU.",
    ),
]
DataHost = Annotated[
    str,
    typer.Option(
        metavar="HOST",
        help="Address of this host that other workers send tensors to, for --launcher local where "
        "the controller is on a network.",
    ),
]
RayAddress = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Of the Ray cluster for --launcher ray.")
]
RayResources = Annotated[
    str,
    typer.Option(
        metavar="ROLE=NEED,…",
        help="What Ray sets apart for a worker, as encode=2cpu,text=4cpu+1gpu; 1cpu by default.",
    ),
]


def launching(
    launcher: str, gpus: str, data_host: str, ray_address: str, ray_resources: str
) -> LaunchOptions:
    """Raises BadParameter."""
    from ..controller.launching.options import LaunchOptions  # takes a moment to import

    if not re.fullmatch(r"(\d+(,\d+)*)?", gpus):
        raise typer.BadParameter(f"expected GPU numbers like 0,1, got {gpus}", param_hint="--gpus")
    return LaunchOptions(
        launcher=launcher,
        gpus=tuple(int(one) for one in gpus.split(",") if one),
        data_host=data_host,
        ray_address=ray_address,
        resources=dict(_need(one) for one in ray_resources.split(",") if one),
    )


def _need(text: str) -> tuple[str, Resources]:
    from ..controller.launching.options import Resources

    found = NEED.fullmatch(text)
    if found is None or found[1] not in ROLES:
        expected = f"expected a role of {', '.join(ROLES)} with its need like text=4cpu+1gpu"
        raise typer.BadParameter(f"{expected}, got {text}", param_hint="--ray-resources")
    return found[1], Resources(float(found[2]), float(found[3] or 0.0))
