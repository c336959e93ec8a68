"""From a model folder, or what is loaded of it, to the stages of this worker: sized and warm."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from ..scheduler.geometry.shape import Geometry
from ..scheduler.model import ModelFacts
from ..scheduler.stage import Stage
from ..transport.messages import Welcome
from .encoding import EncodeStage, EncodeTask
from .families.vision import VisionHalf
from .halves import TEXT, Halves
from .text.generation import TextStage
from .text.kv import KvPool
from .weights import Progress

CPU_SHARE, CPU_MOST_BYTES = 0.2, 2 * 2**30  # of the free memory, for KV, where none was named
GPU_SHARE = 0.85
FULL_CONTEXTS = 256  # more KV than this many whole contexts serves nobody


@dataclass(slots=True)
class Stages:
    """What one worker runs. A stage that it lacks is None."""

    fingerprint: str
    dtype: str
    facts: ModelFacts
    geometry: Geometry | None
    vision: VisionHalf | None
    encode: EncodeStage | None
    text: TextStage | None
    kv_blocks: int


def assemble(
    part: Welcome,
    stages: frozenset[Stage],
    device: torch.device,
    progress: Progress,
    halves: Halves | None = None,
) -> Stages:
    """Load what `halves` lack, None: everything, and warm up; raises BadCheckpoint with one
    sentence."""
    torch.set_num_threads(part.threads)
    halves = halves or Halves()
    halves.need(stages, part, device, progress)
    text = _text_stage(halves, part, stages) if stages & TEXT else None
    vision = halves.loaded.vision if Stage.ENCODE in stages else None
    made = Stages(
        fingerprint=halves.fingerprint,
        dtype=str(halves.loaded.dtype).removeprefix("torch."),
        facts=halves.facts,
        geometry=halves.geometry,
        vision=vision,
        encode=EncodeStage(vision, part.step_image_tokens) if vision is not None else None,
        text=text,
        kv_blocks=text.pool.tables.blocks if text is not None else 0,
    )
    _warm_up(made)
    return made


def _text_stage(halves: Halves, part: Welcome, stages: frozenset[Stage]) -> TextStage:
    loaded, half = halves.loaded, halves.text()
    assert loaded.lm_head is not None
    decodes, prefills = Stage.DECODE in stages, Stage.PREFILL in stages
    block_bytes = half.kv_shape.token_bytes(loaded.dtype) * part.block_size
    kv_bytes = part.kv_bytes or min(
        _free_share(loaded.device),
        FULL_CONTEXTS * halves.facts.context * block_bytes // part.block_size,
    )
    pool = KvPool(
        half.kv_shape,
        blocks=max(1, kv_bytes // block_bytes),
        block_size=part.block_size,
        dtype=loaded.dtype,
        device=loaded.device,
    )
    stage = TextStage(
        half,
        loaded.lm_head,
        pool,
        halves.tokenizer(Path(part.model)),
        eos_ids=halves.facts.eos_ids,
        step_tokens=part.step_tokens,
        decodes=decodes,
        cached_blocks=_cached_blocks(part, pool.tables.blocks, block_bytes) if prefills else 0,
    )
    halves.keep_head(stage.lm_head)
    return stage


def _cached_blocks(part: Welcome, blocks: int, block_bytes: int) -> int:
    """Of the pool, for the prefix cache."""
    return blocks if part.prefix_bytes is None else min(blocks, part.prefix_bytes // block_bytes)


def _free_share(device: torch.device) -> int:
    """Bytes for KV where the controller named none."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * GPU_SHARE)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(int(free * CPU_SHARE), CPU_MOST_BYTES)


def _warm_up(stages: Stages) -> None:
    """The first request must not pay for what every first call pays."""
    if stages.text is not None:
        stages.text.warm_up()
    if stages.encode is not None and stages.vision is not None and stages.geometry is not None:
        for images in (1, 2):
            shape = stages.geometry.image(64, 64, images)
            pixels = stages.vision.preprocess(Image.new("RGB", (64, 64), "grey"), shape.mode)
            stages.encode.add(EncodeTask(f"warm-up {images}", 0, pixels, shape.rows))
        while stages.encode.step():
            pass
        stages.encode.image_tokens = 0
