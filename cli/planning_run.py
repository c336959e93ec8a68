"""From the options of `plan` to a plan, with a line on a terminal that says what is tried."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from ..scheduler.costs.gpus import gpu
from ..scheduler.costs.models import model
from ..scheduler.workload.arrivals import Arrival
from ..simulator.demand import Demand
from ..simulator.goals import Cheapest, Fastest
from ..simulator.layout import write_layout
from ..simulator.planning import Plan, plan
from ..simulator.promises import Monolith, promise
from ..simulator.shapes import shapes
from ..simulator.systems import system
from ..simulator.trials import Told, Trials
from .printing import console
from .simulation_setting import NotSimulated, check_span, named
from .sources import traced

BRIEF = 4  # the first quarter of the requests
FEWEST = 200  # that it has at least
COARSE = 0.2  # how near a highest rate is found with those
TOLD = ("system", "model", "gpu", "gpus", "slo", "slo_factor", "attainment", "seed")


@dataclass(frozen=True, slots=True)
class Planned:
    asked: Mapping[str, Any]  # options that name a result
    rate: float  # of the workload, requests a second
    scale: float | None  # that was planned for; None: a number of GPUs was
    requests: int
    shapes: int  # that were estimated
    plan: Plan
    notes: Sequence[str]


def planned(given: Mapping[str, Any]) -> Planned:
    """`given`: the options by their names. Raises BadParameter, BadTrace, Unreadable, NotSimulated
    or NoPlan."""
    spec, card = named(model, given["model"], "--model"), named(gpu, given["gpu"], "--gpu")
    which, kind = named(system, given["system"], "--system"), named(promise, given["slo"], "--slo")
    asked, name, notes = _workload(given)
    try:
        promised = kind(Monolith(spec, card), given["slo_factor"])
    except ValueError as error:
        raise NotSimulated(str(error)) from error
    check_span(asked[-1].at_s)
    rate = len(asked) / asked[-1].at_s
    demand = Demand(spec, card, asked, promised, which.scheduling)
    found = shapes(demand)
    scale = given["scale"] if given["rate"] is None else given["rate"] / rate
    goal = (
        Cheapest(demand, scale, scale * rate)
        if given["gpus"] is None
        else Fastest(demand, given["gpus"], rate)
    )
    with _line() as told:
        full = Trials(
            *(which, spec, card, asked, promised, given["attainment"]),
            tolerance=given["tolerance"],
            seed=given["seed"],
            told=told,
        )
        made = plan(goal, demand, found, _brief(full), full)
    return Planned(
        asked={one: given[one] for one in TOLD} | {"trace": name},
        rate=rate,
        scale=scale if given["gpus"] is None else None,
        requests=len(asked),
        shapes=len(found),
        plan=made,
        notes=notes,
    )


def _brief(full: Trials) -> Trials:
    """The beginning of it."""
    few = max(FEWEST, len(full.asked) // BRIEF)
    tolerance = max(COARSE, full.tolerance)
    return replace(full, asked=full.asked[:few], tolerance=tolerance, seen={})


def _workload(given: Mapping[str, Any]) -> tuple[list[Arrival], str, list[str]]:
    """The requests that are simulated; in memory, since they are again and again."""
    told = (given[name] for name in ("trace", "seed", "image_size", "start", "duration"))
    source, most = traced(*told), given["num_prompts"]
    found = list(islice(source.begin(), most + 1))
    asked, notes = found[:most], list(source.notes)
    if not asked or not asked[-1].at_s:
        raise NotSimulated(
            f"expected requests at different times in {source.name}, got {len(asked)} at one"
        )
    if len(found) > most:
        notes.append(f"{source.name}: the first {most:,} of its requests (--num-prompts).")
    return asked, source.name, notes


@contextmanager
def _line() -> Iterator[Told]:
    if not sys.stderr.isatty():
        yield lambda layout, scale: None
        return
    with console(stderr=True).status("") as status:
        yield lambda layout, scale: status.update(f"{write_layout(layout)} at {scale:.4g} x")
