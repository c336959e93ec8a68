"""One run, or as many as a search takes, with a bar on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..simulator.outcome import Outcome
from ..simulator.scenario import Result, Watch
from ..simulator.searching import Probe, Search
from .printing import console
from .simulation_setting import Setting

STEP = 100  # requests between two looks at the bar


@dataclass(frozen=True, slots=True)
class Run:
    scale: float
    result: Result
    probes: Sequence[Probe] = ()  # of a search


def run(setting: Setting, scale: float) -> Run:
    with _bar(setting.offered.requests) as watching:
        return Run(scale, setting.scenario.run(scale, watching(scale)))


def searched(
    settings: Sequence[Setting], *, start: float, attainment: float, tolerance: float
) -> list[Run]:
    """One search of each, which begins where the one before ended. Raises HoldsNowhere."""
    found: list[Run] = []
    for setting in settings:
        found.append(_searched(setting, start, attainment, tolerance))
        start = found[-1].scale
    return found


def _searched(setting: Setting, start: float, attainment: float, tolerance: float) -> Run:
    requests = setting.offered.requests
    with _bar(requests) as watching:

        def tried(scale: float, watch: Watch) -> Result:
            step = watching(scale)

            def both(outcome: Outcome) -> None:
                step(outcome)
                watch(outcome)

            return setting.scenario.run(scale, both)

        search = Search(tried, requests, attainment, tolerance=tolerance)
        found = search.highest(start)
    return Run(found.scale, found.result, found.probes)


@contextmanager
def _bar(requests: int) -> Iterator[Callable[[float], Watch]]:
    """For each rate that is run, somebody to be told of its requests."""
    if not sys.stderr.isatty():
        yield lambda scale: lambda outcome: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    shown = console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), console=shown, transient=True) as bar:
        task = bar.add_task("", total=requests)

        def watching(scale: float) -> Watch:
            bar.reset(task, description=f"{scale:.4g} x the rate")
            ended = 0

            def watch(outcome: Outcome) -> None:
                nonlocal ended
                ended += 1
                if ended % STEP == 0:
                    bar.update(task, completed=ended)

            return watch

        yield watching
