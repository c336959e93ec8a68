"""LLaVA-OneVision's vision half: tower, projector and the packing of tiles into rows.

Modules carry transformers' names, so that a checkpoint's weights find them. The packing IS
transformers' (unpad, bilinear shrink, newlines): rounding there decides the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import AutoModel
from transformers.image_utils import SizeDict
from transformers.models.llava_onevision.modeling_llava_onevision import (
    LlavaOnevisionModel,
    LlavaOnevisionMultiModalProjector,
)

from ..apart import Apart
from .vision import Pixels

automatic: Any = AutoModel  # transformers' own annotations stop halfway
pack: Any = LlavaOnevisionModel.pack_image_features


class LlavaOnevisionVision(nn.Module):
    def __init__(self, config: Any, processor: Any) -> None:
        super().__init__()
        self.config, self.processor = config, processor
        self.layers = chosen_layers(config)
        self.vision_tower = automatic.from_config(shortened(config.vision_config, max(self.layers)))
        self.multi_modal_projector = LlavaOnevisionMultiModalProjector(config)
        self._apart = Apart()
        self.image_newline = nn.Parameter(torch.zeros(config.text_config.hidden_size))

    def preprocess(self, image: Image.Image, mode: str) -> Pixels:
        if mode == "single":
            pixels = self.processor(images=[[image]], return_tensors="np")["pixel_values"][0]
        else:
            pixels = square_tile(self.processor, image)[None]
        tiles = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))
        return Pixels(tiles=tiles, height=image.height, width=image.width, mode=mode)

    @torch.no_grad()
    def encode(self, batch: Sequence[Pixels]) -> list[Tensor]:
        tiles = torch.cat([pixels.tiles for pixels in batch])
        tiles = tiles.to(self.image_newline.device, self.image_newline.dtype)
        features = self._apart.run(self.project, tiles)
        packed, _ = pack(
            self,  # it reads `config` only
            torch.split(features, [len(pixels.tiles) for pixels in batch]),
            [[pixels.height, pixels.width] for pixels in batch],
            image_newline=self.image_newline,
            vision_aspect_ratio=self.config.vision_aspect_ratio,
        )
        return list(packed)

    def project(self, tiles: Tensor) -> Tensor:
        """[tiles, 3, side, side] to [tiles, patches, text hidden size]."""
        states = self.vision_tower(tiles, output_hidden_states=self.layers).hidden_states
        selected = torch.cat([states[layer] for layer in self.layers], dim=-1)
        if self.config.vision_feature_select_strategy == "default":
            selected = selected[:, 1:]
        projected: Tensor = self.multi_modal_projector(selected)
        return projected


def square_tile(processor: Any, image: Image.Image) -> Any:
    """One of several images: padded to a square, one tile; float32 [3, side, side].

    The processor's own steps; called whole it would need a second image to choose this path.
    """
    size = SizeDict(**dict(processor.size))
    background = tuple(int(mean * 255) for mean in processor.image_mean)
    square = processor.pad_to_square(np.asarray(image).transpose(2, 0, 1), background)
    if processor.do_resize:
        square = processor.resize(square, size=size, resample=processor.resample)
    if processor.do_rescale:
        square = processor.rescale(square, processor.rescale_factor)
    if processor.do_normalize:
        square = processor.normalize(square, processor.image_mean, processor.image_std)
    return square


def chosen_layers(config: Any) -> list[int]:
    """Counted from the start: 0 is the patch embedding, the depth is the last layer's output."""
    layers = config.vision_feature_layer
    depth = config.vision_config.num_hidden_layers
    listed = [layers] if isinstance(layers, int) else layers
    return [layer if layer >= 0 else depth + 1 + layer for layer in listed]


def shortened(vision_config: Any, depth: int) -> Any:
    """The tower's config without the layers and the pooling head that nobody reads."""
    config = vision_config.__class__.from_dict(vision_config.to_dict())
    config.num_hidden_layers = depth
    if hasattr(config, "vision_use_head"):
        config.vision_use_head = False
    return config
