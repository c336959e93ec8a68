"""Options that `simulate` and `plan` share, as they are typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..scheduler.costs.gpus import GPUS
from ..scheduler.costs.models import MODELS
from ..simulator.promises import PROMISES
from ..simulator.systems import SYSTEMS
from .options import option, positive

MOST_GPUS = 16_384
MOST_PROMPTS = 100_000_000

Model = Annotated[str, option("NAME", f"{', '.join(MODELS)}.")]
System = Annotated[str, option("NAME", f"{', '.join(SYSTEMS)}.")]
Gpu = Annotated[str, option("NAME", f"{', '.join(GPUS)}.")]
Start = Annotated[str | None, option("TIME", "Of the trace, from here on.")]
Duration = Annotated[str | None, option("TIME", "Of the trace, for so long.")]
Scale = Annotated[float, option("X", "X times the rate.", callback=positive)]
Slo = Annotated[str, option("KIND", f"{' or '.join(PROMISES)}.")]
SloFactor = Annotated[float, option("F", "Times what it takes alone.", callback=positive)]
Attainment = Annotated[float, option("X", "Share of the requests in time.", min=0, max=1)]
Tolerance = Annotated[
    float, option("X", "How near a highest rate is, relatively.", callback=positive)
]
Seed = Annotated[int, option("N", "The same seed, the same figures.", min=0)]
Repeats = Annotated[
    int, option("N", "So often, drawn anew: means, and how sure they are.", min=1, max=1000)
]
Json = Annotated[Path | None, option("FILE", "Write the figures there, as JSON; -: to the screen.")]
Autoscale = Annotated[
    bool, typer.Option("--autoscale", help="Let the system launch and drain workers.")
]
Search = Annotated[
    bool, typer.Option("--search", help="Find the highest --scale that holds --attainment.")
]
Layout = Annotated[
    str | None,
    option("LAYOUT", "Workers, and GPUs of each: encode=48@1,text=20@4; else the system's."),
]
Trace = Annotated[
    Path | None,
    option(
        "FILE",
        "Requests from a CSV file, .gz or not, or from the folder of a controller's journal; else "
        "they are drawn.",
    ),
]
