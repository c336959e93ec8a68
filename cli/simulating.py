"""simulate: what a cluster that nobody has at hand would do with a workload."""

from __future__ import annotations

import time
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from ..scheduler.costs.gpus import GPUS
from ..scheduler.costs.models import MODELS
from ..simulator.promises import PROMISES
from ..simulator.systems import SYSTEMS
from .plots import NotDrawn, check_folder
from .printing import console

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


class NotSaved(Exception):
    """One sentence."""


def add(app: typer.Typer) -> None:
    app.command(
        epilog="Example: msctl simulate --system modserve --model llama3.2-11b --gpu a100 "
        "--gpus 128 --trace trace.csv.gz --scale 10 --json found.json --plot plots"
    )(simulate)


def option(metavar: str, help: str, **how: Any) -> Any:
    return typer.Option(metavar=metavar, help=help, **how)


def positive(value: float) -> float:
    if isnan(value) or not value > 0:
        raise typer.BadParameter(f"expected a number above 0, got {value:g}")
    return value


def simulate(
    context: typer.Context,
    model: Annotated[str, option("NAME", f"{', '.join(MODELS)}.")],
    gpus: Annotated[int, option("N", "GPUs of the cluster.", min=1)],
    system: Annotated[str, option("NAME", f"{', '.join(SYSTEMS)}.")] = "modserve",
    gpu: Annotated[str, option("NAME", f"{', '.join(GPUS)}.")] = "a100",
    layout: Annotated[
        str | None,
        option("LAYOUT", "Workers, and GPUs of each: encode=48@1,text=20@4; else the system's."),
    ] = None,
    trace: Annotated[
        Path | None,
        option("FILE", "Requests from a CSV file, .gz or not; else they are drawn."),
    ] = None,
    start: Annotated[str | None, option("TIME", "With --trace: from here on.")] = None,
    duration: Annotated[str | None, option("TIME", "With --trace: for so long.")] = None,
    num_prompts: Annotated[
        int | None,
        option("N", "Requests: of a trace all, or N, beginning again where it ends.", min=1),
    ] = None,
    scale: Annotated[float, option("X", "X times the rate.", callback=positive)] = 1.0,
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
    slo: Annotated[str, option("KIND", f"{' or '.join(PROMISES)}.")] = "per-request",
    slo_factor: Annotated[
        float, option("F", "Times what it takes alone.", callback=positive)
    ] = 5.0,
    autoscale: Annotated[
        bool, typer.Option("--autoscale", help="Let the system launch and drain workers.")
    ] = False,
    search: Annotated[
        bool, typer.Option("--search", help="Find the highest --scale that holds --attainment.")
    ] = False,
    attainment: Annotated[
        float, option("X", "Share of the requests in time.", min=0, max=1)
    ] = 0.99,
    tolerance: Annotated[
        float, option("X", "How near the search comes, relatively.", callback=positive)
    ] = 0.02,
    seed: Annotated[int, option("N", "The same seed, the same figures.", min=0)] = 0,
    json: Annotated[
        Path | None, option("FILE", "Write the figures there, as JSON; - : to the screen.")
    ] = None,
    plot: Annotated[Path | None, option("DIR", "Draw latencies, workers and their use.")] = None,
) -> None:
    """Run the real scheduler on a cluster of any size, under a virtual clock.

    Workers take the time that a cost model says: rooflines of the GPU's datasheet, with the shares
    that real kernels reach. An SLO is a multiple of what one monolith of four such GPUs takes: for
    the same request alone (per-request), or for two typical ones (literal).
    """
    from .simulation_report import body, show  # these take a moment to import
    from .simulation_run import run, searched
    from .simulation_setting import setting_of

    began = time.monotonic()
    _check(context)
    setting = setting_of(context.params)
    if search:
        done = searched(setting, start=scale, attainment=attainment, tolerance=tolerance)
    else:
        done = run(setting, scale)
    found = body(setting, done, time.monotonic() - began)
    if json is None or str(json) != "-":
        show(found, setting.notes, done.probes, console())
    save(found, json)
    if plot is not None:
        _draw(setting, done, plot)


def _check(context: typer.Context) -> None:
    """Raises BadParameter for what makes no sense together, and for what could not be written."""
    given = context.params
    for name in given:
        if not str(context.get_parameter_source(name)).endswith("COMMANDLINE"):
            continue
        if name in OF_DRAWN and given["trace"] is not None:
            raise typer.BadParameter(f"expected --trace or {_flag(name)}, got both")
        if (needed := NEEDED.get(name)) is not None and not given[needed]:
            raise typer.BadParameter(f"expected --{needed} with {_flag(name)}, got none")
    file = given["json"]
    if file is not None and not file.absolute().parent.is_dir():
        raise typer.BadParameter(f"expected a folder for {file}, got none")
    if given["plot"] is not None:
        check_folder(given["plot"])


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def save(found: dict[str, Any], file: Path | None) -> None:
    if file is None:
        return
    text = orjson.dumps(found, option=orjson.OPT_INDENT_2)
    if str(file) == "-":
        print(text.decode(), flush=True)
        return
    try:
        file.write_bytes(text + b"\n")
    except OSError as error:
        raise NotSaved(f"cannot write {file}: {error.strerror}") from error


def _draw(setting: Setting, done: Run, folder: Path) -> None:
    from .simulation_plot import draw

    title = f"{setting.asked['system']}: {setting.asked['model']}, scale {done.scale:.4g}"
    try:
        folder.mkdir(exist_ok=True)
        draw(done.result, title, folder)
    except OSError as error:
        raise NotDrawn(f"cannot write into {folder}: {error.strerror}") from error
