"""What the text half of every family offers: rows of tokens in, rows of hidden states out."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from ..text.attention import NAME
from ..text.cross import CrossKv
from ..text.kv import KvShape
from ..text.sequence import Sequence
from ..text.step import Step
from ..text.text_work import TextTask


class TextHalf(Protocol):
    text: nn.Module  # transformers' layers
    kv_shape: KvShape

    def open(self, task: TextTask) -> CrossKv | None:
        """Room beside the paged KV for the images of a request; None where it needs none."""
        ...

    def land(self, sequence: Sequence, image_index: int, embedding: Tensor) -> None: ...

    def forward(self, step: Step) -> Tensor:
        """[T, hidden], before the last norm: that and the head are for sampled rows alone."""
        ...

    def finish(self, rows: Tensor) -> Tensor: ...


def self_attention_shape(config: Any, layers: int) -> KvShape:
    heads: int = config.num_attention_heads
    return KvShape(
        layers=layers,
        kv_heads=config.num_key_value_heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
    )


def page(text: nn.Module) -> None:
    """Send the self-attention of transformers' layers to the paged pool."""
    config: Any = text.config
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if kinds:
        raise ValueError(f"expected full attention in every layer, got {', '.join(sorted(kinds))}")
    config._attn_implementation = NAME
