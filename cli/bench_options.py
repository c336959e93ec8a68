"""The options of bench: the load, whom it is sent to, and what is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..client.load.record import METRICS
from .options import option, positive

Url = Annotated[
    str | None,
    option("URL", "An OpenAI endpoint such as http://127.0.0.1:8000/v1, not a controller."),
]
Model = Annotated[str | None, option("NAME", "With --url: the model to ask.")]
Tokenizer = Annotated[
    Path | None,
    option("PATH", "tokenizer.json or its folder; by default the controller's model."),
]
NumPrompts = Annotated[int, option("N", "Requests; of a trace the first N.", min=1)]
NumWarmups = Annotated[
    int, option("N", "Requests of the same kind before the clock starts.", min=0)
]
RequestRate = Annotated[
    float, option("R", "Requests a second; inf: all at once.", callback=positive)
]
Burstiness = Annotated[
    float,
    option("X", "Shape of the gamma distributed gaps; 1: Poisson.", callback=positive),
]
MaxConcurrency = Annotated[
    int | None, option("N", "Closed loop: so many requests at a time at most.", min=1)
]
InputLen = Annotated[str, option("N", "Text tokens of a prompt: 128, or 64-256 for any between.")]
OutputLen = Annotated[str, option("N", "Tokens of an answer at most: 48 or 16-64.")]
PrefixLen = Annotated[int, option("N", "Tokens more, the same in front of every prompt.", min=0)]
ImageShare = Annotated[float, option("X", "Share of the requests with images.", min=0, max=1)]
ImagesPerRequest = Annotated[
    str, option("N", "Images where there are some: 1, or 1:0.66,3:0.34 by weight.")
]
ImageSize = Annotated[
    str | None,
    option("SIZE", "448x448, 448x448:0.7,1280x720:0.3, or lognormal:MEDIAN,P95 of a side."),
]
ImageFormat = Annotated[str, option("KIND", "jpeg or png.")]
SameImages = Annotated[
    int, option("N", "Only N different images, used in turn; 0: never one twice.", min=0)
]
Trace = Annotated[
    Path | None,
    option("FILE", "Times, lengths and images from a CSV file, .gz or not."),
]
TraceScale = Annotated[float, option("X", "X times the rate of the trace.", callback=positive)]
MaxInputLen = Annotated[int | None, option("N", "Cut longer texts to N tokens.", min=1)]
MaxOutputLen = Annotated[int | None, option("N", "Cut longer answers to N tokens.", min=1)]
IgnoreEos = Annotated[bool, typer.Option("--ignore-eos", help="Go on where the model would end.")]
Seed = Annotated[int, option("N", "The same seed, the same load.", min=0)]
Timeout = Annotated[str, option("TIME", "A request fails after this.")]
Goodput = Annotated[
    list[str] | None,
    option(
        "METRIC:MS",
        "Objectives of ttft, tpot and e2el in ms; text. or image. before one narrows it.",
    ),
]
Slo = Annotated[
    str | None,
    option("NAME", "A class of the controller's, for every request; --goodput narrows it."),
]
More = Annotated[list[str] | None, typer.Argument(hidden=True, metavar="METRIC:MS")]
PercentileMetrics = Annotated[
    str | None, option("NAMES", f"What is printed, of {','.join(METRICS)}.")
]
MetricPercentiles = Annotated[str, option("P", "Percentiles, with commas.")]
SaveResult = Annotated[bool, typer.Option("--save-result", help="Write everything to a JSON file.")]
ResultFilename = Annotated[Path | None, option("FILE", "Its name, which implies --save-result.")]
