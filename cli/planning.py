"""plan: what to buy for a workload, or how to divide what is there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ..scheduler.costs.gpus import GPUS
from ..scheduler.costs.models import MODELS
from ..simulator.promises import PROMISES
from ..simulator.systems import SYSTEMS
from .simulating import option, positive, save


def add(app: typer.Typer) -> None:
    app.command(
        epilog="Example: msctl plan --model llama3.2-11b --gpu h100 --trace trace.csv.gz --scale 4"
    )(plan)


def _positive_or_none(value: float | None) -> float | None:
    return None if value is None else positive(value)


def plan(
    context: typer.Context,
    model: Annotated[str, option("NAME", f"{', '.join(MODELS)}.")],
    trace: Annotated[Path, option("FILE", "Requests from a CSV file, .gz or not.")],
    gpu: Annotated[str, option("NAME", f"{', '.join(GPUS)}.")] = "a100",
    gpus: Annotated[
        int | None,
        option("N", "So many there are: find the highest rate; else the fewest GPUs.", min=1),
    ] = None,
    rate: Annotated[
        float | None,
        option("R", "Requests a second to plan for, not the trace's.", callback=_positive_or_none),
    ] = None,
    scale: Annotated[
        float, option("X", "Plan for X times the trace's rate.", callback=positive)
    ] = 1.0,
    system: Annotated[str, option("NAME", f"That schedules: {', '.join(SYSTEMS)}.")] = "modserve",
    start: Annotated[str | None, option("TIME", "Of the trace, from here on.")] = None,
    duration: Annotated[str | None, option("TIME", "Of the trace, for so long.")] = None,
    num_prompts: Annotated[
        int, option("N", "Requests of the trace that are simulated, at most.", min=1)
    ] = 2000,
    image_size: Annotated[
        str | None,
        option("SIZE", "Where the trace tells none: 448x448, or lognormal:MEDIAN,P95 of a side."),
    ] = None,
    slo: Annotated[str, option("KIND", f"{' or '.join(PROMISES)}.")] = "per-request",
    slo_factor: Annotated[
        float, option("F", "Times what it takes alone.", callback=positive)
    ] = 5.0,
    attainment: Annotated[
        float, option("X", "Share of the requests in time.", min=0, max=1)
    ] = 0.99,
    tolerance: Annotated[
        float, option("X", "How near a highest rate is, relatively.", callback=positive)
    ] = 0.05,
    seed: Annotated[int, option("N", "The same seed, the same plan.", min=0)] = 0,
    json: Annotated[
        Path | None, option("FILE", "Write the plan there, as JSON; - : to the screen.")
    ] = None,
) -> None:
    """Find the fewest GPUs that serve a workload as promised, or the best use of --gpus.

    Workers that do everything, workers of one stage or two, and mixes of them, on 1, 2, 4 or 8 GPUs
    each: all are estimated from the cost models, the most promising are simulated. As with
    `simulate`, an SLO is a multiple of what one monolith of four such GPUs takes.
    """
    from .planning_report import body, show  # these take a moment to import
    from .planning_run import planned
    from .printing import console

    began = time.monotonic()
    _check(context)
    done = planned(context.params)
    found = body(done, time.monotonic() - began)
    if json is None or str(json) != "-":
        show(found, done.notes, console())
    save(found, json)


def _check(context: typer.Context) -> None:
    """Raises BadParameter for what makes no sense together, and for what could not be written."""
    given = context.params
    typed = [
        name
        for name in ("gpus", "rate", "scale")
        if str(context.get_parameter_source(name)).endswith("COMMANDLINE")
    ]
    if len(typed) > 1:
        raise typer.BadParameter(f"expected --{typed[0]} or --{typed[1]}, got both")
    file = given["json"]
    if file is not None and not file.absolute().parent.is_dir():
        raise typer.BadParameter(f"expected a folder for {file}, got none")
