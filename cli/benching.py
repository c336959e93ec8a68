"""bench: a load for this system, or for any other that speaks OpenAI's protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from math import inf, isinf, isnan
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from ..client.load.objectives import BadObjective, Objectives, read_objectives
from ..client.load.record import METRICS, Record
from .options import DEFAULT_ENDPOINT, Controller, Json, Keys, seconds
from .printing import print_json
from .workloads import Wanted, workload_of

TOLD_BY_TRACE = {
    *("request_rate", "burstiness", "input_len", "output_len"),
    *("image_share", "images_per_request"),
}
NEEDED = {"trace_scale": "trace", "model": "url"}


class NotSaved(Exception):
    """One sentence."""


def add(app: typer.Typer) -> None:
    app.command(
        epilog="Example: msctl bench --num-prompts 200 --request-rate 2 --image-share 0.4 "
        "--goodput ttft:1000 image.ttft:8000 tpot:150"
    )(bench)


def _rate(value: float) -> float:
    if isnan(value) or value <= 0:
        raise typer.BadParameter(f"expected a number above 0, got {value:g}")
    return value


def _option(metavar: str, help: str, **how: Any) -> Any:
    return typer.Option(metavar=metavar, help=help, **how)


def bench(
    context: typer.Context,
    url: Annotated[
        str | None,
        _option("URL", "An OpenAI endpoint such as http://127.0.0.1:8000/v1, not a controller."),
    ] = None,
    model: Annotated[str | None, _option("NAME", "With --url: the model to ask.")] = None,
    tokenizer: Annotated[
        Path | None,
        _option("PATH", "tokenizer.json or its folder; by default the controller's model."),
    ] = None,
    num_prompts: Annotated[int, _option("N", "Requests; of a trace the first N.", min=1)] = 1000,
    num_warmups: Annotated[
        int, _option("N", "Requests of the same kind before the clock starts.", min=0)
    ] = 0,
    request_rate: Annotated[
        float, _option("R", "Requests a second; inf: all at once.", callback=_rate)
    ] = inf,
    burstiness: Annotated[
        float,
        _option("X", "Shape of the gamma distributed gaps; 1: Poisson.", callback=_rate),
    ] = 1.0,
    max_concurrency: Annotated[
        int | None, _option("N", "Closed loop: so many requests at a time at most.", min=1)
    ] = None,
    input_len: Annotated[
        str, _option("N", "Text tokens of a prompt: 128, or 64-256 for any between.")
    ] = "128",
    output_len: Annotated[str, _option("N", "Tokens of an answer at most: 48 or 16-64.")] = "48",
    prefix_len: Annotated[
        int, _option("N", "Tokens more, the same in front of every prompt.", min=0)
    ] = 0,
    image_share: Annotated[
        float, _option("X", "Share of the requests with images.", min=0, max=1)
    ] = 0.0,
    images_per_request: Annotated[
        str, _option("N", "Images where there are some: 1, or 1:0.66,3:0.34 by weight.")
    ] = "1",
    image_size: Annotated[
        str | None,
        _option("SIZE", "448x448, 448x448:0.7,1280x720:0.3, or lognormal:MEDIAN,P95 of a side."),
    ] = None,
    image_format: Annotated[str, _option("KIND", "jpeg or png.")] = "jpeg",
    same_images: Annotated[
        int, _option("N", "Only N different images, used in turn; 0: never one twice.", min=0)
    ] = 0,
    trace: Annotated[
        Path | None,
        _option("FILE", "Times, lengths and images from a CSV file, .gz or not."),
    ] = None,
    trace_scale: Annotated[
        float, _option("X", "X times the rate of the trace.", callback=_rate)
    ] = 1.0,
    max_input_len: Annotated[
        int | None, _option("N", "Cut longer texts to N tokens.", min=1)
    ] = None,
    max_output_len: Annotated[
        int | None, _option("N", "Cut longer answers to N tokens.", min=1)
    ] = None,
    ignore_eos: Annotated[
        bool, typer.Option("--ignore-eos", help="Go on where the model would end.")
    ] = False,
    seed: Annotated[int, _option("N", "The same seed, the same load.", min=0)] = 0,
    timeout: Annotated[str, _option("TIME", "A request fails after this.")] = "600s",
    goodput: Annotated[
        list[str] | None,
        _option(
            "METRIC:MS",
            "Objectives of ttft, tpot and e2el in ms; text. or image. before one narrows it.",
        ),
    ] = None,
    slo: Annotated[
        str | None,
        _option("NAME", "A class of the controller's, for every request; --goodput narrows it."),
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(hidden=True, metavar="METRIC:MS")] = None,
    percentile_metrics: Annotated[
        str | None, _option("NAMES", f"What is printed, of {','.join(METRICS)}.")
    ] = None,
    metric_percentiles: Annotated[str, _option("P", "Percentiles, with commas.")] = "50,90,99",
    save_result: Annotated[
        bool, typer.Option("--save-result", help="Write everything to a JSON file.")
    ] = False,
    result_filename: Annotated[
        Path | None, _option("FILE", "Its name, which implies --save-result.")
    ] = None,
    controller: Controller = DEFAULT_ENDPOINT,
    keys: Keys = None,
    json: Json = False,
) -> None:
    """Send a load, open loop or closed, and print latencies, throughput and goodput.

    Names, figures and print-out are those of `vllm bench serve`. Prompts and images are made
    before the clock starts, and stay in memory. Ctrl-C prints what was measured so far.
    """
    from ..client.load.asks import Maker  # these take a moment to import
    from ..client.load.measures import measure
    from ..client.load.pictures import Pictures
    from ..client.load.prompts import Prompts, read_tokenizer
    from ..client.load.report import report
    from .loads import Loop, NotSent, other, ours, send

    _check_together(context)
    slos = [*(goodput or ()), *(more or ())]  # values of one option, as vLLM has it
    objectives = _objectives(slos)
    percentiles = _percentiles(metric_percentiles)
    open_loop = trace is not None or not isinf(request_rate)
    metrics = _metrics(percentile_metrics, open_loop=open_loop)
    loop = Loop(max_concurrency, seconds(timeout), num_warmups)
    workload = workload_of(
        Wanted(**{field.name: context.params[field.name] for field in fields(Wanted)})
    )
    if url is None:
        target = ours(
            controller, keys, tokenizer, ignore_eos=ignore_eos, slo=slo, objectives=objectives
        )
    else:
        target = other(url, model, tokenizer, ignore_eos=ignore_eos)
    maker = Maker(
        Prompts(read_tokenizer(target.tokenizer), seed=seed, prefix_tokens=prefix_len),
        Pictures(seed=seed, kind="PNG" if image_format == "png" else "JPEG", same=same_images),
    )
    date = datetime.now()
    records: list[Record] = []
    whole = send(target, maker, workload.arrivals, loop, records)
    notes = [*workload.notes, *_uncounted(records)]
    result = {
        "date": f"{date:%Y%m%d-%H%M%S}",
        "endpoint_type": target.kind,
        "model_id": target.model,
        "tokenizer_id": str(target.tokenizer),
        "num_prompts": len(workload.arrivals),
        "request_rate": None if trace else _plain(request_rate),
        "burstiness": burstiness,
        "max_concurrency": max_concurrency,
        "seed": seed,
        "options": _shown({**context.params, "goodput": slos, "more": None}),
        "notes": notes,
        **measure(records, objectives, percentiles),
    }
    if json:
        print_json(result)
    else:
        print("\n".join(report(result, metrics, percentiles)))
    if save_result or result_filename:
        _save(result, result_filename)
    if not whole:
        raise typer.Exit(130)
    if not result["completed"]:
        raise NotSent(f"expected answers, got none to {len(records)} requests")


def _check_together(context: typer.Context) -> None:
    """Raises BadParameter for options that others make meaningless."""
    given = context.params
    if given["more"] and not given["goodput"]:
        raise typer.BadParameter(f"expected an option, got {given['more'][0]}")
    if given["image_format"] not in ("jpeg", "png"):
        raise typer.BadParameter(f"expected jpeg or png, got {given['image_format']}")
    file = given["result_filename"]
    if file is not None and not file.absolute().parent.is_dir():
        raise typer.BadParameter(f"expected a folder for {file}, got none")
    typed = [
        name for name in given if str(context.get_parameter_source(name)).endswith("COMMANDLINE")
    ]
    for name in typed:
        if name == "slo" and given["url"] is not None:
            raise typer.BadParameter("expected --slo without --url: another server has no classes")
        if name in TOLD_BY_TRACE and given["trace"] is not None:
            raise typer.BadParameter(f"expected --trace or {_flag(name)}, got both")
        if (needed := NEEDED.get(name)) is not None and given[needed] is None:
            raise typer.BadParameter(f"expected --{needed} with {_flag(name)}, got none")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _objectives(texts: list[str]) -> Objectives | None:
    try:
        return read_objectives(texts)
    except BadObjective as error:
        raise typer.BadParameter(str(error), param_hint="--goodput") from error


def _percentiles(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 <= one <= 100 for one in found):
        raise typer.BadParameter(f"expected percentiles like 50,90,99, got {text}")
    return found


def _metrics(text: str | None, *, open_loop: bool) -> list[str]:
    """By default all, but waiting for one's turn says nothing where all are due at once."""
    if text is None:
        return [name for name in METRICS if open_loop or name != "client_queue_time"]
    found = text.split(",")
    for name in found:
        if name not in METRICS:
            raise typer.BadParameter(f"expected metrics of {','.join(METRICS)}, got {name}")
    return found


def _uncounted(records: Sequence[Record]) -> Iterator[str]:
    if count := sum(record.completed and not record.counted for record in records):
        yield f"{count} answers came without the server's count of tokens: chunks were counted."


def _shown(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were set."""
    return {name: _plain(value) for name, value in options.items() if value is not None}


def _plain(value: Any) -> Any:
    """As JSON has it; infinite is a word, as in vLLM's files."""
    if isinstance(value, Path):
        return str(value)
    return "inf" if value == inf else value


def _save(result: Mapping[str, Any], file: Path | None) -> None:
    """vLLM's names for files without one."""
    if file is None:
        rate, limit = result["request_rate"] or "trace", result["max_concurrency"]
        concurrency = "" if limit is None else f"-concurrency{limit}"
        model = str(result["model_id"]).rpartition("/")[2]
        kind, date = result["endpoint_type"], result["date"]
        file = Path(f"{kind}-{rate}qps{concurrency}-{model}-{date}.json")
    try:
        file.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise NotSaved(f"cannot write {file}: {error.strerror}") from error
