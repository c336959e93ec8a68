"""A model's sizes and what follows from them: bytes of weights and of KV, FLOPs, image tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..geometry.shape import Geometry, ImageShape

BYTES = 2  # of a weight, an activation or a KV value: bfloat16


class Family(StrEnum):
    DECODER = "decoder"  # image rows stand in the prompt
    CROSS = "cross"  # the text attends to them from the side, in layers made for it


@dataclass(frozen=True, slots=True)
class Language:
    """The language model: gated feed-forward layers, grouped-query attention."""

    layers: int  # those of cross-attention among them
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied: bool = False  # one table for the embedding and the head
    cross_layers: int = 0

    @property
    def self_layers(self) -> int:
        return self.layers - self.cross_layers

    @property
    def kv_width(self) -> int:
        """Of the keys, or of the values, of a token in one layer."""
        return self.kv_heads * self.head_dim

    @property
    def layer_parameters(self) -> int:
        attention = 2 * self.hidden * (self.heads * self.head_dim + self.kv_width)
        return attention + 3 * self.hidden * self.intermediate

    @property
    def parameters(self) -> int:
        tables = 1 if self.tied else 2
        return self.layers * self.layer_parameters + tables * self.vocabulary * self.hidden

    @property
    def read_parameters(self) -> int:
        """Those that every step reads: all layers and the head."""
        return self.layers * self.layer_parameters + self.vocabulary * self.hidden

    @property
    def token_flops(self) -> float:
        """Products of a text token, the head left out: a prefill needs it for its last token only.

        In a cross-attention layer the keys and values are the image's (`image_row_flops`).
        """
        foreign = self.cross_layers * 2 * self.hidden * self.kv_width
        return 2.0 * (self.layers * self.layer_parameters - foreign)

    @property
    def pair_flops(self) -> float:
        """Self-attention of one token with one that it sees: its scores, and the sum of values."""
        return 4.0 * self.heads * self.head_dim * self.self_layers

    @property
    def image_row_flops(self) -> float:
        """The keys and values of an image's row in the cross-attention layers."""
        return 2.0 * self.cross_layers * 2 * self.hidden * self.kv_width

    @property
    def kv_bytes(self) -> int:
        """Of one text token's keys and values."""
        return self.self_layers * 2 * self.kv_width * BYTES


@dataclass(frozen=True, slots=True)
class Tower:
    """The vision tower: plain feed-forward layers, full attention inside a tile."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    tile_side: int  # pixels
    patch_side: int  # pixels
    patches: int  # of a tile inside the tower: class token and padding included
    tile_tokens: int  # of a tile behind the projector
    joint_tiles: int = 1  # that attend to each other

    @property
    def layer_parameters(self) -> int:
        return 4 * self.hidden**2 + 2 * self.hidden * self.intermediate

    @property
    def parameters(self) -> int:
        """The layers, and the tables that embed the patches and their positions."""
        tables = self.hidden * (3 * self.patch_side**2 + self.patches)
        return self.layers * self.layer_parameters + tables

    @property
    def attention_flops(self) -> float:
        """Of a tile."""
        return 4.0 * self.patches**2 * self.joint_tiles * self.hidden * self.layers


@dataclass(frozen=True, slots=True)
class ModelSpec:
    name: str
    language: Language
    tower: Tower
    projector: int  # parameters
    geometry: Geometry

    @property
    def family(self) -> Family:
        return Family.CROSS if self.geometry.cross_attention else Family.DECODER

    @property
    def text_bytes(self) -> int:
        """The weights of a text replica."""
        return self.language.parameters * BYTES

    @property
    def image_bytes(self) -> int:
        """The weights of an encode replica: the projector runs there."""
        return (self.tower.parameters + self.projector) * BYTES

    @property
    def weights_bytes(self) -> int:
        return self.text_bytes + self.image_bytes

    @property
    def image_kv_bytes(self) -> int:
        """Of an image's row in the cross-attention layers."""
        return self.language.cross_layers * 2 * self.language.kv_width * BYTES

    @property
    def tile_flops(self) -> float:
        """Of one tile through tower and projector."""
        tower = self.tower
        products = 2.0 * tower.patches * tower.layers * tower.layer_parameters
        projected = 2.0 * tower.tile_tokens * self.projector
        return products + tower.attention_flops + projected

    def image(self, width: int, height: int, images: int = 1) -> ImageShape:
        """A picture of so many pixels in a request with so many pictures."""
        return self.geometry.image(width, height, images)

    def image_tokens(self, width: int, height: int, images: int = 1) -> int:
        """Rows of its embedding: what the language model sees of it."""
        return self.image(width, height, images).rows

    def encode_tokens(self, shape: ImageShape) -> int:
        """Rows that the tower computes for it, which EncodeCost counts.

        More than its embedding has where padding is cut off afterwards (LLaVA-OneVision).
        """
        return shape.tiles * self.tower.tile_tokens

    def embedding_bytes(self, rows: int) -> int:
        """Of the tensor that an encode replica hands to a text replica."""
        return rows * self.language.hidden * BYTES
