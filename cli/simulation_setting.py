"""From the options of `simulate` to a cluster, a workload and a promise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import typer

from ..scheduler.costs.gpus import gpu
from ..scheduler.costs.models import model
from ..scheduler.stage import Stage
from ..simulator.layout import BadLayout, Layout, Share, divide, gpus_of, read_layout
from ..simulator.promises import Monolith, promise
from ..simulator.scenario import Offered, Scenario, offered
from ..simulator.systems import build, system
from .redrawing import sources_of
from .sources import Source, Wanted

T = TypeVar("T")
DAY_S = 86_400.0
MOST_DAYS = 31  # of a workload
TOLD = ("system", "model", "gpu", "gpus", "slo", "slo_factor", "autoscale", "seed")


class NotSimulated(Exception):
    """Nothing could be simulated; one sentence."""


@dataclass(frozen=True, slots=True)
class Setting:
    asked: Mapping[str, Any]  # options that name a result
    layout: Layout
    scenario: Scenario
    offered: Offered
    notes: Sequence[str]


def settings_of(given: Mapping[str, Any]) -> list[Setting]:
    """One for each of the repeats. `given`: the options by their names. Reads the whole workload
    once, so that a bad row shows before anything runs. Raises BadParameter, BadTrace, Unreadable
    or NotSimulated."""
    wanted = Wanted(**{field.name: given[field.name] for field in fields(Wanted)})
    seeds = (given["seed"] + number for number in range(given["repeats"]))
    return [
        _setting({**given, "seed": seed}, source)
        for seed, source in zip(seeds, sources_of(wanted, given["repeats"]), strict=True)
    ]


def _setting(given: Mapping[str, Any], source: Source) -> Setting:
    which = named(system, given["system"], "--system")
    spec, card = named(model, given["model"], "--model"), named(gpu, given["gpu"], "--gpu")
    shares = which.shares_for(given["gpus"], spec.name, card.name, source.form)
    layout = _layout(given, shares)
    try:
        cluster = build(which, spec, card, layout, scales=given["autoscale"])
        monolith = Monolith(spec, card)
    except ValueError as error:
        raise NotSimulated(str(error)) from error
    promised = named(promise, given["slo"], "--slo")(monolith, given["slo_factor"])
    told = offered(source.begin, promised, monolith)
    if not told.requests:
        raise NotSimulated(f"expected requests in {source.name}, got none in that time")
    if told.images and not any(Stage.ENCODE in part.stages for part in layout):
        raise NotSimulated(f"expected workers for encode, got none for {told.images} images")
    check_span(told.span_s / given["scale"])
    return Setting(
        asked={name: given[name] for name in TOLD} | {"trace": source.name},
        layout=layout,
        scenario=Scenario(cluster, source.begin, promised, given["seed"]),
        offered=told,
        notes=[*source.notes, *_tuned(given, shares, which.shares), *_idle(given["gpus"], layout)],
    )


def named(find: Callable[[str], T], name: str, option: str) -> T:
    try:
        return find(name)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _layout(given: Mapping[str, Any], shares: Sequence[Share]) -> Layout:
    gpus = given["gpus"]
    try:
        if given["layout"] is None:
            return divide(gpus, shares)
        layout = read_layout(given["layout"])
    except BadLayout as error:
        raise typer.BadParameter(str(error)) from error
    if (used := gpus_of(layout)) > gpus:
        raise typer.BadParameter(f"expected a layout for {gpus} GPUs, got one for {used}")
    return layout


def check_span(span_s: float) -> None:
    """Raises NotSimulated: the core is told of every second, whether requests come in it or not."""
    if span_s > MOST_DAYS * DAY_S:
        got = f"{span_s / DAY_S:.3g} days"
        raise NotSimulated(f"expected requests within at most {MOST_DAYS} days, got {got} of them")


def _tuned(given: Mapping[str, Any], shares: Sequence[Share], usual: Sequence[Share]) -> list[str]:
    if given["layout"] is not None or shares is usual:
        return []
    return [f"The layout is what {given['system']} was tuned to: simulator/tuned.py."]


def _idle(gpus: int, layout: Layout) -> list[str]:
    idle = gpus - gpus_of(layout)
    return [f"{idle} of {gpus} GPUs are left over, too few for another worker."] if idle else []
