"""From a model folder to a profile of each of its components."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from ...scheduler.costs.profile import Component, Point, Profile
from ...transport.components import components
from ..alone import STEP_IMAGE_TOKENS, stages_alone
from ..assembly import Stages
from . import encoding, pictures, stepping
from .fitting import fit
from .grids import FULL, QUICK, Grid
from .machine import cores, describe
from .options import ProfilingOptions
from .timing import Trial, measured


class Told(Protocol):
    def __call__(self, what: str, done: int, total: int) -> None: ...


@dataclass(frozen=True, slots=True)
class _Where:
    """What a component is measured on."""

    device: torch.device
    dtype: str
    threads: int


ONE_THREAD = _Where(torch.device("cpu"), "uint8", 1)


def profiles(options: ProfilingOptions, device: torch.device, told: Told) -> Iterator[Profile]:
    """Each as soon as it is measured; raises BadCheckpoint, or Unfit."""
    folder, grid = Path(options.model), QUICK if options.quick else FULL
    fingerprints, name = components(folder), options.name or folder.name
    threads = options.threads or cores()
    made = stages_alone(folder, device, partial(told, "loading"), threads=threads)
    where = _Where(device, made.dtype, threads)
    for component, trials in _trials(made, device, grid):
        points = measured(trials, grid.budget_s, partial(told, component))
        place = ONE_THREAD if component is Component.PREPROCESS else where
        yield _profile(component, name, fingerprints[component], place, points)


def _profile(
    component: Component, model: str, fingerprint: str, where: _Where, points: Sequence[Point]
) -> Profile:
    return Profile(
        component=component,
        model=model,
        fingerprint=fingerprint,
        device=where.device.type,
        machine=describe(where.device),
        tp=1,
        dtype=where.dtype,
        threads=where.threads,
        cost=fit(component, points),
        points=points,
    )


def _trials(
    made: Stages, device: torch.device, grid: Grid
) -> Iterator[tuple[Component, list[Trial]]]:
    """In the order of a request's life."""
    vision, geometry, text = made.vision, made.geometry, made.text
    if vision is not None and geometry is not None:
        yield Component.PREPROCESS, [*pictures.trials(vision, geometry, grid.pictures)]
        batches = encoding.trials(
            vision, geometry, device, grid.cuts, grid.batches, STEP_IMAGE_TOKENS
        )
        yield Component.ENCODE, [*batches]
    if text is not None:
        facts = made.facts
        steps = stepping.trials(text, facts.vocabulary, facts.context, [*grid.steps()])
        yield Component.TEXT, [*steps]
