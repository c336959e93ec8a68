"""What a worker process has loaded of its checkpoint, kept as long as the process lives.

A worker that goes back to stages it had before reads nothing: its vision half, its text half and
its tokenizer are here, fused and packed as they were. That is never more than a worker with all
stages holds.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from ..scheduler.geometry.choosing import TEXT_ONLY
from ..scheduler.geometry.shape import Geometry
from ..scheduler.model import ModelFacts
from ..scheduler.stage import Stage
from ..transport.checkpoint import BadCheckpoint, fingerprint, read_facts, read_geometry
from ..transport.messages import Welcome
from .families.decoder_text import DecoderText
from .families.mllama_text import MllamaText
from .families.text import TextHalf
from .loading import Loaded, load
from .weights import Progress

TEXT = frozenset({Stage.PREFILL, Stage.DECODE})


class Halves:
    """Of one checkpoint folder, on one device; empty until `need`."""

    loaded: Loaded  # every half so far; those fields that follow are there with it
    facts: ModelFacts
    geometry: Geometry | None
    fingerprint: str

    def __init__(self) -> None:
        self._has: frozenset[Stage] = frozenset()
        self._text: TextHalf | None = None
        self._tokenizer: Tokenizer | None = None

    def need(
        self, stages: frozenset[Stage], part: Welcome, device: torch.device, progress: Progress
    ) -> None:
        """Load what `stages` lack, and nothing where they lack nothing; raises BadCheckpoint."""
        missing = self._missing(stages)
        if not missing:
            return
        folder = Path(part.model)
        self._read(folder, part.block_size)
        names = frozenset(str(stage) for stage in missing)
        new = load(folder, names, device=device, dtype=part.dtype, progress=progress)
        self.loaded = _joined(self.loaded, new) if self._has else new
        self._has |= frozenset() if new.vision is None else {Stage.ENCODE}
        self._has |= frozenset() if new.text is None else TEXT

    def _missing(self, stages: frozenset[Stage]) -> frozenset[Stage]:
        """Beside text there is nothing to encode of a model without images."""
        if self._has and self.loaded.family in TEXT_ONLY and stages & TEXT:
            stages -= {Stage.ENCODE}
        return stages - self._has

    def _read(self, folder: Path, block_size: int) -> None:
        """The halves that are here and the one to come must be of one checkpoint."""
        found = fingerprint(folder, "any", block_size)
        if self._has and found != self.fingerprint:
            raise BadCheckpoint(
                f"expected the checkpoint of before in {folder}, with fingerprint "
                f"{self.fingerprint[:12]}, got one with {found[:12]}"
            )
        self.facts, self.geometry = read_facts(folder), read_geometry(folder)
        self.fingerprint = found

    def text(self) -> TextHalf:
        """With fused projections; made once."""
        if self._text is None:
            self._text = _text_half(self.loaded)
        return self._text

    def tokenizer(self, folder: Path) -> Tokenizer:
        if self._tokenizer is None:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        return self._tokenizer

    def keep_head(self, head: nn.Module) -> None:
        """As a stage has packed it: the packed copy is not to be made a second time."""
        self.loaded = replace(self.loaded, lm_head=head)


def _joined(old: Loaded, new: Loaded) -> Loaded:
    return replace(
        new,
        vision=old.vision if new.vision is None else new.vision,
        text=old.text if new.text is None else new.text,
        lm_head=old.lm_head if new.lm_head is None else new.lm_head,
    )


def _text_half(loaded: Loaded) -> TextHalf:
    if loaded.family != "mllama":
        return DecoderText(loaded.text)
    vision: Any = loaded.config.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    return MllamaText(loaded.text, tiles=vision.max_num_tiles, tile_rows=patches + 1)
