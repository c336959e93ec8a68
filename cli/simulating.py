"""simulate: what a cluster that nobody has at hand would do with a workload."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import simulation_options as shared
from .options import flag, option, positive, typed
from .plots import NotDrawn, check_folder
from .printing import console
from .saving import check_place, is_screen, save

if TYPE_CHECKING:
    from .simulation_run import Run
    from .simulation_setting import Setting

NEEDED = {  # by whom
    **dict.fromkeys(("start", "duration"), "trace"),
    **dict.fromkeys(("attainment", "tolerance"), "search"),
}
OF_DRAWN = (
    *("request_rate", "burstiness", "input_len", "output_len"),
    *("image_share", "images_per_request"),
)


def add(app: typer.Typer) -> None:
    app.command(
        epilog="Example: msctl simulate --system modserve --model llama3.2-11b --gpu a100 "
        "--gpus 128 --trace trace.csv.gz --scale 10 --json found.json --plot plots"
    )(simulate)


def simulate(
    context: typer.Context,
    model: shared.Model,
    gpus: Annotated[int, option("N", "GPUs of the cluster.", min=1, max=shared.MOST_GPUS)],
    system: shared.System = "modserve",
    gpu: shared.Gpu = "a100",
    layout: shared.Layout = None,
    trace: shared.Trace = None,
    start: shared.Start = None,
    duration: shared.Duration = None,
    num_prompts: Annotated[
        int | None,
        option(
            "N",
            "Requests: of a trace all, or N, beginning again where it ends.",
            min=1,
            max=shared.MOST_PROMPTS,
        ),
    ] = None,
    scale: shared.Scale = 1.0,
    request_rate: Annotated[
        float, option("R", "Without --trace: requests a second.", callback=positive)
    ] = 1.0,
    burstiness: Annotated[
        float, option("X", "Shape of the gamma distributed gaps; 1: Poisson.", callback=positive)
    ] = 1.0,
    input_len: Annotated[str, option("N", "Text tokens of a prompt: 128, or 64-256.")] = "128",
    output_len: Annotated[str, option("N", "Tokens of an answer: 48, or 16-64.")] = "48",
    image_share: Annotated[
        float, option("X", "Share of the requests with images.", min=0, max=1)
    ] = 0.0,
    images_per_request: Annotated[
        str, option("N", "Images where there are some: 1, or 1:0.66,3:0.34 by weight.")
    ] = "1",
    image_size: Annotated[
        str | None,
        option("SIZE", "448x448, 448x448:0.7,1280x720:0.3, or lognormal:MEDIAN,P95 of a side."),
    ] = None,
    slo: shared.Slo = "per-request",
    slo_factor: shared.SloFactor = 5.0,
    autoscale: shared.Autoscale = False,
    search: shared.Search = False,
    attainment: shared.Attainment = 0.99,
    tolerance: shared.Tolerance = 0.02,
    seed: shared.Seed = 0,
    repeats: shared.Repeats = 1,
    json: shared.Json = None,
    plot: Annotated[
        Path | None, option("DIR", "Draw latencies, workers, their use; of the first repeat.")
    ] = None,
) -> None:
    """Run the real scheduler on a cluster of any size, under a virtual clock.

    Workers take the time that a cost model says: rooflines of the GPU's datasheet, with the shares
    that real kernels reach. An SLO is a multiple of what one monolith of four such GPUs takes: for
    the same request alone (per-request), or for two typical ones (literal).
    """
    from .simulation_repeats import all_of  # these take a moment to import
    from .simulation_report import show
    from .simulation_run import run, searched
    from .simulation_setting import settings_of

    began = time.monotonic()
    _check(context)
    settings = settings_of(context.params)
    if search:
        done = searched(settings, start=scale, attainment=attainment, tolerance=tolerance)
    else:
        done = [run(setting, scale) for setting in settings]
    found = all_of(settings, done, time.monotonic() - began)
    if not is_screen(json):
        show(found, settings[0].notes, done[0].probes, console())
    if json is not None:
        save(found, json)
    if plot is not None:
        _draw(settings[0], done[0], plot)


def _check(context: typer.Context) -> None:
    """Raises BadParameter for what makes no sense together, and for what could not be written."""
    given = context.params
    for name in typed(context):
        if name in OF_DRAWN and given["trace"] is not None:
            raise typer.BadParameter(f"expected --trace or {flag(name)}, got both")
        if (needed := NEEDED.get(name)) is not None and not given[needed]:
            raise typer.BadParameter(f"expected --{needed} with {flag(name)}, got none")
    check_place(given["json"])
    if given["plot"] is not None:
        check_folder(given["plot"])


def _draw(setting: Setting, done: Run, folder: Path) -> None:
    from .simulation_plot import draw

    title = f"{setting.asked['system']}: {setting.asked['model']}, scale {done.scale:.4g}"
    try:
        folder.mkdir(exist_ok=True)
        draw(done.result, title, folder)
    except OSError as error:
        raise NotDrawn(f"cannot write into {folder}: {error.strerror}") from error
