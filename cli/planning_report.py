"""A plan: one JSON object, and the same as a table and a few sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ..simulator.layout import write_layout
from ..simulator.planning import Change
from ..simulator.trials import Trial
from .planning_run import Planned
from .simulation_report import share


def body(done: Planned, wall_s: float) -> dict[str, Any]:
    """All but `wall_s` is the same for the same seed."""
    made = done.plan
    return {
        "best": _trial(done, made.best),
        "others": [_trial(done, one) for one in made.others],
        "changes": [_change(done, one) for one in made.changes],
        "splitting": {
            "all": None if made.whole is None else _trial(done, made.whole),
            "split": None if made.split is None else _trial(done, made.split),
            "told": verdict(done),
        },
        **done.asked,
        "scale": done.scale,
        "wanted_req_s": None if done.scale is None else done.scale * done.rate,
        "requests": done.requests,
        "shapes": done.shapes,
        "wall_s": wall_s,
    }


def verdict(done: Planned) -> str:
    """Whether splitting pays, in one sentence."""
    whole, split = done.plan.whole, done.plan.split
    if whole is None or split is None:
        if whole is None:
            return "Splitting pays: of the layouts that do not, none that was simulated holds."
        return "Splitting does not pay: of the layouts that split, none that was simulated holds."
    ours, theirs = write_layout(split.layout), write_layout(whole.layout)
    if done.scale is None:
        return _by_rate(ours, theirs, split.scale * done.rate, whole.scale * done.rate)
    return _by_gpus(ours, theirs, split.gpus, whole.gpus)


def _by_rate(split: str, whole: str, ours: float, theirs: float) -> str:
    facts = f"{split} serves {ours:,.2f} requests a second, {whole} {theirs:,.2f}"
    if ours > theirs:
        return f"Splitting pays: {facts}, {ours / theirs - 1:.0%} more."
    if ours < theirs:
        return f"Splitting does not pay: {facts}, {1 - ours / theirs:.0%} less."
    return f"Splitting makes no difference: {facts}."


def _by_gpus(split: str, whole: str, ours: int, theirs: int) -> str:
    facts = f"{split} needs {ours} GPUs, {whole} {theirs}"
    if ours < theirs:
        return f"Splitting pays: {facts}, {1 - ours / theirs:.0%} fewer."
    if ours > theirs:
        return f"Splitting does not pay: {facts}, {ours / theirs - 1:.0%} more."
    return f"Splitting makes no difference: {facts}."


def _trial(done: Planned, trial: Trial) -> dict[str, Any]:
    return {
        "layout": write_layout(trial.layout),
        "gpus": trial.gpus,
        "rate_req_s": trial.scale * done.rate,
        "scale": trial.scale,
        "attainment": trial.attainment,
        "holds": trial.holds,
    }


def _change(done: Planned, change: Change) -> dict[str, Any]:
    found = None if change.trial is None else _trial(done, change.trial)
    return {"role": change.role, "by": change.by, "found": found}


def show(found: Mapping[str, Any], notes: Sequence[str], console: Console) -> None:
    console.print(_title(found))
    console.print(_layouts(found))
    console.print("one worker of the best more or fewer:")
    console.print(_changes(found))
    minutes, seconds = divmod(found["wall_s"], 60)
    told = f"{found['shapes']} shapes were estimated, the most promising simulated with "
    lines = [
        found["splitting"]["told"],
        *notes,
        f"{told}{found['requests']:,} requests, in {minutes:.0f} min {seconds:.1f} s.",
    ]
    for line in lines:
        console.print(line)


def _title(found: Mapping[str, Any]) -> str:
    what = f"{found['model']} on {found['gpu']}, {found['trace']}"
    promised = f"{found['slo']} SLO x {found['slo_factor']:g} for {found['attainment']:.1%}"
    if found["gpus"] is not None:
        return f"the highest rate on {found['gpus']} GPUs: {what}, {promised}"
    return f"the fewest GPUs for {found['wanted_req_s']:,.2f} requests a second: {what}, {promised}"


def _table() -> Table:
    table = Table(box=None)
    table.add_column("")
    table.add_column("layout")
    for heading in ("GPUs", "req/s", "in time"):
        table.add_column(heading, justify="right")
    return table


def _layouts(found: Mapping[str, Any]) -> Table:
    table = _table()
    for place, one in enumerate((found["best"], *found["others"]), 1):
        table.add_row(str(place), *_cells(one))
    return table


def _changes(found: Mapping[str, Any]) -> Table:
    table = _table()
    for one in found["changes"]:
        cells = ["", "-", "0.00", "-"] if one["found"] is None else _cells(one["found"])
        table.add_row(f"{one['by']:+d} {one['role']}", *cells)
    return table


def _cells(one: Mapping[str, Any]) -> list[str]:
    most = "" if one["holds"] else "at most "
    in_time = f"{most}{share(one['attainment'])}"
    return [one["layout"], str(one["gpus"]), f"{one['rate_req_s']:,.2f}", in_time]
