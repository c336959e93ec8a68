"""From a model folder to a profile of each of its components."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from ...scheduler.costs.profile import Component, Point, Profile
from ...scheduler.stage import Stage
from ...transport.components import components
from ...transport.messages import Welcome
from ..assembly import Stages, assemble
from . import encoding, pictures, stepping
from .fitting import fit
from .grids import FULL, QUICK, Grid
from .machine import cores, describe
from .options import ProfilingOptions
from .timing import Trial, measured

BLOCK_SIZE = 16
STEP_TOKENS = 512  # at most, as a controller tells its workers
STEP_IMAGE_TOKENS = 8192


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
    made = _stages(folder, device, threads, told)
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


def _stages(folder: Path, device: torch.device, threads: int, told: Told) -> Stages:
    """All of them, as a worker makes them, warm."""
    part = Welcome(
        name="profile",
        model=str(folder),
        fingerprint="",
        dtype="auto",
        block_size=BLOCK_SIZE,
        threads=threads,
        beat_s=1.0,
        rejoin_s=1.0,
        kv_bytes=0,
        store_bytes=0,
        staging_bytes=0,
        step_tokens=STEP_TOKENS,
        step_image_tokens=STEP_IMAGE_TOKENS,
        prefix_bytes=0,  # what is measured is computed
    )
    return assemble(part, frozenset(Stage), device, partial(told, "loading"))
