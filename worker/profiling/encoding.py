"""Encode batches: so many pictures of one size each, by the stage that serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch

from ...scheduler.costs.profile import BatchWork
from ...scheduler.geometry.shape import Geometry, ImageShape
from ..encoding import EncodeStage, EncodeTask
from ..families.vision import VisionHalf
from .pictures import Size, picture
from .timing import Trial, timed


def trials(
    half: VisionHalf,
    geometry: Geometry,
    device: torch.device,
    sizes: Sequence[Size],
    batches: Sequence[int],
    most_tokens: int,
) -> Iterator[Trial]:
    """Sizes that make as many image tokens as another one does are left out, and batches beyond
    `most_tokens`, which no worker takes at once."""
    for size, shape in _different(geometry, sizes):
        pixels = half.preprocess(picture(size), shape.mode)
        for images in batches:
            work = BatchWork(images, images * shape.rows)
            if images == 1 or work.image_tokens <= most_tokens:
                task = EncodeTask("one", 0, pixels, shape.rows)
                encode = partial(_encode, half, [task] * images)
                yield Trial(work, partial(timed, encode, device))


def _different(geometry: Geometry, sizes: Sequence[Size]) -> list[tuple[Size, ImageShape]]:
    shapes = {size: geometry.image(*size, 1) for size in sizes}
    by_rows = {shape.rows: (size, shape) for size, shape in shapes.items()}
    return [by_rows[rows] for rows in sorted(by_rows)]


def _encode(half: VisionHalf, tasks: Sequence[EncodeTask]) -> None:
    """A new stage: one that knows how long batches take would cut this one."""
    stage = EncodeStage(half, sum(task.image_tokens for task in tasks))
    for task in tasks:
        stage.add(task)
    if failed := [one.error for one in stage.step() if one.rows is None]:
        raise RuntimeError(f"expected embeddings, got: {failed[0]}")
