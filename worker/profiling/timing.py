"""Rounds over all points in an order that changes, so that a minute in which somebody else had the
cores touches one run of every point and not every run of one."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from ...scheduler.costs.profile import Point, Work

HELD_OUT = 3  # one point in so many
LONG_S = 600.0  # no further round of a component begins after this
FEWEST_ROUNDS = 3

Told = Callable[[int, int], None]  # runs done, runs in all


@dataclass(frozen=True, slots=True)
class Trial:
    work: Work
    run: Callable[[], float]  # seconds of the part that counts


def measured(trials: Sequence[Trial], rounds: int, told: Told) -> list[Point]:
    """The median of each trial's runs; one trial in three, drawn once for all, is held out."""
    dice = random.Random(0)
    runs: list[list[float]] = [[] for _ in trials]
    begun, whole = time.monotonic(), rounds * len(trials)
    for trial in trials:
        trial.run()  # the first of its shape does not count
    gc.collect()
    for number in range(rounds):
        if number >= FEWEST_ROUNDS and time.monotonic() - begun > LONG_S:
            break
        for done, at in enumerate(dice.sample(range(len(trials)), len(trials))):
            runs[at].append(trials[at].run())
            told(number * len(trials) + done + 1, whole)
    held_out = set(dice.sample(range(len(trials)), len(trials) // HELD_OUT))
    return [
        Point(trial.work, median(seconds), at in held_out)
        for at, (trial, seconds) in enumerate(zip(trials, runs, strict=True))
    ]


def seconds(run: Callable[[], object], device: torch.device) -> float:
    wait_for(device)
    begun = time.perf_counter()
    run()
    wait_for(device)
    return time.perf_counter() - begun


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
