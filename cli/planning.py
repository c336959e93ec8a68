"""plan: what to buy for a workload, or how to divide what is there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from . import simulation_options as shared
from .options import flag, option, positive, typed
from .saving import check_place, is_screen, save


def add(app: typer.Typer) -> None:
    app.command(
        epilog="Example: msctl plan --model llama3.2-11b --gpu h100 --trace trace.csv.gz --scale 4"
    )(plan)


def _positive_or_none(value: float | None) -> float | None:
    return None if value is None else positive(value)


def plan(
    context: typer.Context,
    model: shared.Model,
    trace: Annotated[
        Path, option("FILE", "Requests from a CSV file, .gz or not, or a journal's folder.")
    ],
    gpu: shared.Gpu = "a100",
    gpus: Annotated[
        int | None,
        option(
            "N",
            "So many there are: find the highest rate; else the fewest GPUs.",
            min=1,
            max=shared.MOST_GPUS,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        option("R", "Requests a second to plan for, not the trace's.", callback=_positive_or_none),
    ] = None,
    scale: shared.Scale = 1.0,
    system: shared.System = "modserve",
    start: shared.Start = None,
    duration: shared.Duration = None,
    num_prompts: Annotated[
        int, option("N", "Requests of the trace that are simulated, at most.", min=1)
    ] = 2000,
    image_size: Annotated[
        str | None,
        option("SIZE", "Where the trace tells none: 448x448, or lognormal:MEDIAN,P95 of a side."),
    ] = None,
    slo: shared.Slo = "per-request",
    slo_factor: shared.SloFactor = 5.0,
    attainment: shared.Attainment = 0.99,
    tolerance: shared.Tolerance = 0.05,
    seed: shared.Seed = 0,
    json: shared.Json = None,
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
    if not is_screen(json):
        show(found, done.notes, console())
    if json is not None:
        save(found, json)


def _check(context: typer.Context) -> None:
    """Raises BadParameter for what makes no sense together, and for what could not be written."""
    goals = [name for name in typed(context) if name in ("gpus", "rate", "scale")]
    if len(goals) > 1:
        raise typer.BadParameter(f"expected {flag(goals[0])} or {flag(goals[1])}, got both")
    check_place(context.params["json"])
