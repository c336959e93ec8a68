"""Rounds over all points in an order that changes, so that a minute in which somebody else had the
cores touches one run of every point and not every run of one. The kernel tells how often it took a
core from us: the runs that it held up least are those that count."""

from __future__ import annotations

import gc
import random
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from ...scheduler.costs.profile import Point, Work

HELD_OUT = 3  # one point in so many
FEWEST, MOST = 3, 25  # rounds

Told = Callable[[int, int], None]  # runs done, runs in all


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float  # of the part that counts
    held_up: int  # times that somebody else got a core that we were using


@dataclass(frozen=True, slots=True)
class Trial:
    work: Work
    run: Callable[[], Run]


def measured(trials: Sequence[Trial], budget_s: float, told: Told) -> list[Point]:
    """The usual time of each trial, in as many rounds as `budget_s` allows but three at least;
    of every three that take about as long, the middle one is held out."""
    dice = random.Random(0)
    every = range(len(trials))
    rounds = _rounds(trials, budget_s)
    order = [at for _ in range(rounds) for at in dice.sample(every, len(trials))]
    runs: list[list[Run]] = [[] for _ in trials]
    for done, at in enumerate(order):
        runs[at].append(trials[at].run())
        told(done + 1, len(order))
    _try_again(trials, runs, time.monotonic() + 2 * budget_s)
    usual = [usual_s(some) for some in runs]
    held_out = sorted(every, key=usual.__getitem__)[1 : len(trials) - 1 : HELD_OUT]
    return [Point(trials[at].work, usual[at], at in held_out) for at in every]


def usual_s(runs: Sequence[Run]) -> float:
    """The median of those that were held up least."""
    least = min(run.held_up for run in runs)
    return median(run.seconds for run in runs if run.held_up == least)


def _rounds(trials: Sequence[Trial], budget_s: float) -> int:
    """After one that does not count: the first run of a shape pays for what later ones find."""
    begun = time.monotonic()
    for trial in trials:
        trial.run()
    gc.collect()
    took_s = time.monotonic() - begun
    return max(FEWEST, min(MOST, int(budget_s / took_s))) if trials else 0


def _try_again(trials: Sequence[Trial], runs: Sequence[list[Run]], until: float) -> None:
    """Those that were held up in every run, until they are not once; on a quiet machine nobody."""
    while disturbed := [at for at, some in enumerate(runs) if all(run.held_up for run in some)]:
        for at in disturbed:
            if time.monotonic() >= until:
                return
            runs[at].append(trials[at].run())


def timed(run: Callable[[], object], device: torch.device) -> Run:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
    took_s = seconds(run, device)
    return Run(took_s, resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - before)


def seconds(run: Callable[[], object], device: torch.device) -> float:
    wait_for(device)
    begun = time.perf_counter()
    run()
    wait_for(device)
    return time.perf_counter() - begun


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
