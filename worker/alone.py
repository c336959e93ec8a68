"""The stages of a worker that no controller has welcomed: for whoever measures them."""

from __future__ import annotations

from pathlib import Path

import torch

from ..scheduler.stage import Stage
from ..transport.messages import Welcome
from .assembly import Stages, assemble
from .weights import Progress

BLOCK_SIZE = 16
STEP_TOKENS = 512  # at most, as a controller tells its workers
STEP_IMAGE_TOKENS = 8192


def stages_alone(
    folder: Path, device: torch.device, progress: Progress, *, threads: int, dtype: str = "auto"
) -> Stages:
    """All of them, as a worker makes them, warm; raises BadCheckpoint."""
    part = Welcome(
        name="alone",
        model=str(folder),
        fingerprint="",
        dtype=dtype,
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
    return assemble(part, frozenset(Stage), device, progress)
