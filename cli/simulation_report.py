"""What a simulation found: one JSON object, and the same as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from math import floor
from typing import Any

from rich.console import Console
from rich.table import Table

from ..simulator.confidence import LEVEL
from ..simulator.layout import write_layout
from ..simulator.searching import Probe
from .simulation_run import Run
from .simulation_setting import Setting

KINDS = ("text", "image")
QUANTILES = ("p50", "p90", "p99")
SCHEDULED = (  # what makes one system another
    *("bind", "routing", "order", "placing", "step_tokens", "paced"),
    *("step_image_tokens", "image_cache_bytes", "scaling"),
)


def body(setting: Setting, done: Run, wall_s: float) -> dict[str, Any]:
    """All but `wall_s` is the same for the same seed."""
    figures, ran = done.result.tally.body(), done.result.ran
    scheduling = setting.scenario.cluster.scheduling
    kinds = {kind: figures.pop(kind) for kind in KINDS}
    return {
        **figures,
        "gpus_mean": done.result.gpus_mean,
        "wall_s": wall_s,
        **kinds,
        "ceiling": setting.offered.kept_alone / setting.offered.requests,
        **setting.asked,
        "scale": done.scale,
        "layout": write_layout(setting.layout),
        "scheduling": {name: getattr(scheduling, name) for name in SCHEDULED},
        "utilisation": dict(ran.utilisation),
        "workers": _changes(ran.workers),
        "virtual_s": ran.virtual_s,
        "events": ran.events,
        "tried": [asdict(probe) for probe in done.probes],
    }


def _changes(workers: Iterable[tuple[float, str, int]]) -> list[list[Any]]:
    """From when on a pool had so many: the last word of each moment."""
    told = {(since_s, pool): count for since_s, pool, count in workers}
    return [[since_s, pool, count] for (since_s, pool), count in told.items()]


def show(
    found: Mapping[str, Any], notes: Sequence[str], probes: Sequence[Probe], console: Console
) -> None:
    if probes:
        console.print(_tried(probes))
    console.print(_figures(found))
    if "confidence" in found:
        console.print(_confidence(found))
    for line in (*_sentences(found), *notes):
        console.print(line)


def _figures(found: Mapping[str, Any]) -> Table:
    table = Table(title=_title(found), title_justify="left", box=None)
    table.add_column("")
    for heading in ("requests", "finished", "refused", "in time", "req/s"):
        table.add_column(heading, justify="right")
    for metric in ("TTFT", "TPOT"):
        for name in QUANTILES:
            table.add_column(f"{metric} {name}", justify="right")
    for kind, row in (("all", found), *((kind, found[kind]) for kind in KINDS)):
        table.add_row(kind, *_cells(row))
    return table


def _confidence(found: Mapping[str, Any]) -> Table:
    title = f"{found['repeats']} repeats: means, at {LEVEL:.0%} confidence"
    table = Table(title=title, title_justify="left", box=None)
    for heading in ("", "mean", "from", "to"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, row in found["confidence"].items():
        told = (f"{row[key]:,.4g}" for key in ("mean", "low", "high"))
        table.add_row(name, *told)
    return table


def _title(found: Mapping[str, Any]) -> str:
    cluster = f"{found['system']}: {found['model']} on {found['gpus']} {found['gpu']}"
    load = f"{found['trace']} at {found['scale']:.4g} x the rate"
    return f"{cluster}, {load}, {found['slo']} SLO x {found['slo_factor']:g}"


def _cells(row: Mapping[str, Any]) -> list[str]:
    counts = [f"{row[name]:,}" for name in ("requests", "finished", "refused")]
    rate = "-" if row["rate_req_s"] is None else f"{row['rate_req_s']:,.2f}"
    times = (row[metric][name] for metric in ("ttft_ms", "tpot_ms") for name in QUANTILES)
    return [*counts, share(row["attainment"]), rate, *map(_milliseconds, times)]


def _sentences(found: Mapping[str, Any]) -> list[str]:
    busy = ", ".join(f"{pool} {share_:.0%}" for pool, share_ in found["utilisation"].items())
    held = "-" if found["gpus_mean"] is None else f"{found['gpus_mean']:.1f}"
    told = ", ".join(f"{name} {_word(value)}" for name, value in found["scheduling"].items())
    lines = [f"{found['layout']}: {held} GPUs on average, busy: {busy or 'nobody'}.", f"{told}."]
    if found["ceiling"] < 1:
        lines.append(
            f"With nobody in the way {share(found['ceiling'])} of the requests would be in time."
        )
    minutes, seconds = divmod(found["wall_s"], 60)
    return [*lines, f"{found['virtual_s']:,.0f} s simulated in {minutes:.0f} min {seconds:.1f} s."]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "all" if value is None else str(value)


def _tried(probes: Sequence[Probe]) -> Table:
    table = Table(title="rates that were tried", title_justify="left", box=None)
    for heading in ("scale", "in time"):
        table.add_column(heading, justify="right")
    for probe in probes:
        least = "" if probe.holds else "at most "
        table.add_row(f"{probe.scale:.4g}", f"{least}{share(probe.attainment)}")
    return table


def share(value: float | None) -> str:
    return "-" if value is None else f"{floor(value * 1000) / 10:.1f}%"  # 100 % is for all of them


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms" if value >= 100 else f"{value:,.1f} ms"
