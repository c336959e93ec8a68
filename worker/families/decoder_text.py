"""The text half of decoder-only models: Qwen2 or Llama layers, images as rows among the text."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..text.cross import CrossKv
from ..text.fusing import fuse
from ..text.sequence import Sequence
from ..text.step import Piece, Step
from ..text.text_work import TextTask
from .text import page, self_attention_shape


class DecoderText:
    """`text` is transformers' Qwen2Model or LlamaModel."""

    def __init__(self, text: Any) -> None:
        page(text)
        fuse(text)
        self.text = text
        self.kv_shape = self_attention_shape(text.config, len(text.layers))

    def open(self, task: TextTask) -> CrossKv | None:
        return None

    def land(self, sequence: Sequence, image_index: int, embedding: Tensor) -> None:
        lengths = {s.length for s in sequence.task.spans if s.image_index == image_index}
        want = {(length, self.text.config.hidden_size) for length in lengths}
        if want != {tuple(embedding.shape)}:
            raise ValueError(
                f"{sequence.id}: expected an embedding of {sorted(want)} for image {image_index}, "
                f"got {tuple(embedding.shape)}"
            )
        sequence.embeddings[image_index] = embedding

    def forward(self, step: Step) -> Tensor:
        hidden: Tensor = self.text.embed_tokens(step.ids)
        for piece in step.pieces[step.decodes :]:
            place(hidden, piece)
        hidden = hidden[None]
        rotary = self.text.rotary_emb(hidden, step.positions)
        for index, layer in enumerate(self.text.layers):
            hidden = layer(
                hidden, position_embeddings=rotary, attention_mask=None, step=step, kv_layer=index
            )
        return hidden[0]

    def finish(self, rows: Tensor) -> Tensor:
        out: Tensor = self.text.norm(rows)
        return out


def place(hidden: Tensor, piece: Piece) -> None:
    """Write the image rows that fall into the piece over those of their placeholders."""
    for span in piece.sequence.task.spans:
        start, end = max(span.start, piece.start), min(span.start + span.length, piece.end)
        if start < end:
            rows = piece.sequence.embeddings[span.image_index][
                start - span.start : end - span.start
            ]
            target = piece.rows.start + start - piece.start
            hidden[target : target + end - start] = rows
