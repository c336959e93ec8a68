"""Llama-3.2-Vision's vision half: the tiled tower and the projector.

An image is always all of `max_num_tiles`, padding tiles included: text in front of the first
image attends to them (see the cross-attention), so their rows are part of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers.models.mllama.modeling_mllama import MllamaVisionModel

from .vision import Pixels

ROWS_AT_ONCE = 8192  # the tower's mask is rows × rows per image; more gains nothing


class MllamaVision(nn.Module):
    def __init__(self, config: Any, processor: Any) -> None:
        super().__init__()
        self.config, self.processor = config, processor
        self.vision_model = MllamaVisionModel(config.vision_config)
        self.multi_modal_projector = nn.Linear(
            config.vision_config.vision_output_dim, config.text_config.hidden_size
        )

    def preprocess(self, image: Image.Image, mode: str) -> Pixels:
        inputs = self.processor(images=[[image]], return_tensors="pt")
        used = inputs["num_tiles"][0][0]
        return Pixels(
            tiles=inputs["pixel_values"][0, 0, :used],
            height=image.height,
            width=image.width,
            mode=mode,
            aspect_ratio=int(inputs["aspect_ratio_ids"][0, 0]),
        )

    @torch.no_grad()
    def encode(self, batch: Sequence[Pixels]) -> list[Tensor]:
        rows = self.config.vision_config.max_num_tiles * self.vision_model.num_patches
        step = max(1, ROWS_AT_ONCE // rows)
        starts = range(0, len(batch), step)
        return [row for start in starts for row in self.encode_group(batch[start : start + step])]

    def encode_group(self, batch: Sequence[Pixels]) -> list[Tensor]:
        weight = self.multi_modal_projector.weight
        tiles = padded(batch, self.config.vision_config.max_num_tiles)
        used = torch.tensor([[len(pixels.tiles)] for pixels in batch])
        ratios = torch.tensor([[pixels.aspect_ratio] for pixels in batch])
        mask = (torch.arange(tiles.shape[1])[None] < used).long()[:, None]
        states = self.vision_model(
            pixel_values=tiles[:, None].to(weight.device, weight.dtype),
            aspect_ratio_ids=ratios.to(weight.device),
            aspect_ratio_mask=mask.to(weight.device),
        ).last_hidden_state  # [images, 1, tiles, patches + 1, width]
        return list(self.multi_modal_projector(states).flatten(1, 3))


def padded(batch: Sequence[Pixels], tiles: int) -> Tensor:
    """float32 [images, tiles, 3, side, side]; missing tiles are zero."""
    whole = batch[0].tiles.new_zeros(len(batch), tiles, *batch[0].tiles.shape[1:])
    for place, pixels in zip(whole, batch, strict=True):
        place[: len(pixels.tiles)] = pixels.tiles
    return whole
