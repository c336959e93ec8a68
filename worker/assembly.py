"""From a model folder to the stages of this worker: loaded, sized, and warmed up."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer

from ..scheduler.geometry.shape import Geometry
from ..scheduler.model import ModelFacts
from ..scheduler.stage import Stage
from ..transport.checkpoint import fingerprint, read_facts, read_geometry
from ..transport.messages import Welcome
from .encoding import EncodeStage, EncodeTask
from .families.decoder_text import DecoderText
from .families.mllama_text import MllamaText
from .families.text import TextHalf
from .families.vision import VisionHalf
from .loading import Loaded, load
from .text.generation import TextStage
from .text.kv import KvPool
from .weights import Progress

TEXT = frozenset({Stage.PREFILL, Stage.DECODE})
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
    part: Welcome, stages: frozenset[Stage], device: torch.device, progress: Progress
) -> Stages:
    """Load and warm up; raises BadCheckpoint with one sentence."""
    torch.set_num_threads(part.threads)
    folder = Path(part.model)
    facts = read_facts(folder)
    wanted = frozenset(str(stage) for stage in stages)
    loaded = load(folder, wanted, device=device, dtype=part.dtype, progress=progress)
    text = _text_stage(loaded, folder, facts, part, stages) if stages & TEXT else None
    encode = None
    if loaded.vision is not None:
        encode = EncodeStage(loaded.vision, part.step_image_tokens)
    made = Stages(
        fingerprint=fingerprint(folder, "any", part.block_size),
        dtype=str(loaded.dtype).removeprefix("torch."),
        facts=facts,
        geometry=read_geometry(folder),
        vision=loaded.vision,
        encode=encode,
        text=text,
        kv_blocks=text.pool.tables.blocks if text is not None else 0,
    )
    _warm_up(made)
    return made


def _text_stage(
    loaded: Loaded, folder: Path, facts: ModelFacts, part: Welcome, stages: frozenset[Stage]
) -> TextStage:
    assert loaded.text is not None
    assert loaded.lm_head is not None
    half = _text_half(loaded)
    decodes, prefills = Stage.DECODE in stages, Stage.PREFILL in stages
    block_bytes = half.kv_shape.token_bytes(loaded.dtype) * part.block_size
    kv_bytes = part.kv_bytes or min(
        _free_share(loaded.device), FULL_CONTEXTS * facts.context * block_bytes // part.block_size
    )
    pool = KvPool(
        half.kv_shape,
        blocks=max(1, kv_bytes // block_bytes),
        block_size=part.block_size,
        dtype=loaded.dtype,
        device=loaded.device,
    )
    return TextStage(
        half,
        loaded.lm_head,
        pool,
        Tokenizer.from_file(str(folder / "tokenizer.json")),
        eos_ids=facts.eos_ids,
        step_tokens=part.step_tokens,
        gap_s=part.gap_s if decodes else None,
        decodes=decodes,
        cached_blocks=_cached_blocks(part, pool.tables.blocks, block_bytes) if prefills else 0,
    )


def _cached_blocks(part: Welcome, blocks: int, block_bytes: int) -> int:
    """Of the pool, for the prefix cache."""
    return blocks if part.prefix_bytes is None else min(blocks, part.prefix_bytes // block_bytes)


def _text_half(loaded: Loaded) -> TextHalf:
    if loaded.family != "mllama":
        return DecoderText(loaded.text)
    vision: Any = loaded.config.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    return MllamaText(loaded.text, tiles=vision.max_num_tiles, tile_rows=patches + 1)


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
