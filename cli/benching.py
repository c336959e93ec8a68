"""bench: a load for this system, or for any other that speaks OpenAI's protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from math import inf, isinf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..client.load.objectives import BadObjective, Objectives, read_objectives
from ..client.load.record import METRICS, Record
from . import bench_options as option
from .options import DEFAULT_ENDPOINT, Controller, Json, Keys, flag, seconds, typed
from .printing import print_json
from .saving import check_place, save
from .workloads import Wanted, Workload, workload_of

if TYPE_CHECKING:
    from ..client.load.asks import Maker
    from .loads import Target

TOLD_BY_TRACE = {
    *("request_rate", "burstiness", "input_len", "output_len"),
    *("image_share", "images_per_request"),
}
NEEDED = {"trace_scale": "trace", "model": "url"}


def add(app: typer.Typer) -> None:
    app.command(
        epilog="Example: msctl bench --num-prompts 200 --request-rate 2 --image-share 0.4 "
        "--goodput ttft:1000 image.ttft:8000 tpot:150"
    )(bench)


def bench(
    context: typer.Context,
    url: option.Url = None,
    model: option.Model = None,
    tokenizer: option.Tokenizer = None,
    num_prompts: option.NumPrompts = 1000,
    num_warmups: option.NumWarmups = 0,
    request_rate: option.RequestRate = inf,
    burstiness: option.Burstiness = 1.0,
    max_concurrency: option.MaxConcurrency = None,
    input_len: option.InputLen = "128",
    output_len: option.OutputLen = "48",
    prefix_len: option.PrefixLen = 0,
    image_share: option.ImageShare = 0.0,
    images_per_request: option.ImagesPerRequest = "1",
    image_size: option.ImageSize = None,
    image_format: option.ImageFormat = "jpeg",
    same_images: option.SameImages = 0,
    trace: option.Trace = None,
    trace_scale: option.TraceScale = 1.0,
    max_input_len: option.MaxInputLen = None,
    max_output_len: option.MaxOutputLen = None,
    ignore_eos: option.IgnoreEos = False,
    seed: option.Seed = 0,
    timeout: option.Timeout = "600s",
    goodput: option.Goodput = None,
    slo: option.Slo = None,
    more: option.More = None,
    percentile_metrics: option.PercentileMetrics = None,
    metric_percentiles: option.MetricPercentiles = "50,90,99",
    save_result: option.SaveResult = False,
    result_filename: option.ResultFilename = None,
    controller: Controller = DEFAULT_ENDPOINT,
    keys: Keys = None,
    json: Json = False,
) -> None:
    """Send a load, open loop or closed, and print latencies, throughput and goodput.

    Names, figures and print-out are those of `vllm bench serve`. Prompts and images are made
    before the clock starts, and stay in memory. Ctrl-C prints what was measured so far.
    """
    from ..client.load.measures import measure  # these take a moment to import
    from .loads import Loop, NotSent, send

    _check_together(context)
    given = context.params
    slos = [*(goodput or ()), *(more or ())]  # values of one option, as vLLM has it
    objectives = _objectives(slos)
    percentiles = _percentiles(metric_percentiles)
    open_loop = trace is not None or not isinf(request_rate)
    metrics = _metrics(percentile_metrics, open_loop=open_loop)
    loop = Loop(max_concurrency, seconds(timeout), num_warmups)
    workload = workload_of(Wanted(**{field.name: given[field.name] for field in fields(Wanted)}))
    target = _target(given, objectives)
    maker = _maker(target.tokenizer, given)
    about = _about(target, workload, {**given, "goodput": slos, "more": None})
    records: list[Record] = []
    whole = send(target, maker, workload.arrivals, loop, records)
    notes = [*workload.notes, *_uncounted(records)]
    result = {**about, "notes": notes, **measure(records, objectives, percentiles)}
    _print(result, metrics, percentiles, as_json=json)
    if save_result or result_filename:
        save(result, result_filename or _named(result))
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
    check_place(given["result_filename"])
    for name in typed(context):
        if name == "slo" and given["url"] is not None:
            raise typer.BadParameter("expected --slo without --url: another server has no classes")
        if name in TOLD_BY_TRACE and given["trace"] is not None:
            raise typer.BadParameter(f"expected --trace or {flag(name)}, got both")
        if (needed := NEEDED.get(name)) is not None and given[needed] is None:
            raise typer.BadParameter(f"expected --{needed} with {flag(name)}, got none")


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


def _target(given: Mapping[str, Any], objectives: Objectives | None) -> Target:
    from .loads import other, ours

    tokenizer, ignore_eos = given["tokenizer"], given["ignore_eos"]
    if given["url"] is None:
        return ours(
            given["controller"],
            given["keys"],
            tokenizer,
            ignore_eos=ignore_eos,
            slo=given["slo"],
            objectives=objectives,
        )
    return other(given["url"], given["model"], tokenizer, ignore_eos=ignore_eos)


def _maker(tokenizer: Path, given: Mapping[str, Any]) -> Maker:
    from ..client.load.asks import Maker
    from ..client.load.pictures import Pictures
    from ..client.load.prompts import Prompts, read_tokenizer

    seed, png = given["seed"], given["image_format"] == "png"
    return Maker(
        Prompts(read_tokenizer(tokenizer), seed=seed, prefix_tokens=given["prefix_len"]),
        Pictures(seed=seed, kind="PNG" if png else "JPEG", same=given["same_images"]),
    )


def _about(target: Target, workload: Workload, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the result says of the load, with vLLM's names; the load begins now."""
    return {
        "date": f"{datetime.now():%Y%m%d-%H%M%S}",
        "endpoint_type": target.kind,
        "model_id": target.model,
        "tokenizer_id": str(target.tokenizer),
        "num_prompts": len(workload.arrivals),
        "request_rate": None if given["trace"] else _plain(given["request_rate"]),
        "burstiness": given["burstiness"],
        "max_concurrency": given["max_concurrency"],
        "seed": given["seed"],
        "options": _shown(given),
    }


def _print(
    result: Mapping[str, Any],
    metrics: Sequence[str],
    percentiles: Sequence[float],
    *,
    as_json: bool,
) -> None:
    from ..client.load.report import report

    if as_json:
        print_json(result)
    else:
        print("\n".join(report(result, metrics, percentiles)))


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


def _named(result: Mapping[str, Any]) -> Path:
    """vLLM's names for files without one."""
    rate, limit = result["request_rate"] or "trace", result["max_concurrency"]
    concurrency = "" if limit is None else f"-concurrency{limit}"
    model = str(result["model_id"]).rpartition("/")[2]
    kind, date = result["endpoint_type"], result["date"]
    return Path(f"{kind}-{rate}qps{concurrency}-{model}-{date}.json")
