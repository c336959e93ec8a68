"""The text half of Llama-3.2-Vision: some layers attend across to the images instead.

The loop over the layers is ours, not `MllamaTextModel.forward`'s: a step mixes requests with and
without images, and a text-only request skips the cross-attention layers altogether.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..text.attention import attend, attend_row
from ..text.cross import CrossKv, sights
from ..text.fusing import fuse
from ..text.sequence import Sequence
from ..text.step import Piece, Step
from ..text.text_work import TextTask
from .text import page, self_attention_shape


class MllamaText:
    """`text` is transformers' MllamaTextModel; an image is `tiles` × `tile_rows` rows."""

    def __init__(self, text: Any, *, tiles: int, tile_rows: int) -> None:
        page(text)
        fuse(text)
        self.text = text
        self.tile_rows = tile_rows
        self.image_rows = tiles * tile_rows
        self.crossing = [index for index in text.cross_attention_layers if index < len(text.layers)]
        self.kv_shape = self_attention_shape(text.config, len(text.layers) - len(self.crossing))

    def open(self, task: TextTask) -> CrossKv | None:
        if not task.spans:
            return None
        shape = self.kv_shape
        weight = self.text.embed_tokens.weight
        rows = self.image_rows * len(task.spans)
        return CrossKv(
            kv=weight.new_zeros(len(self.crossing), 2, shape.kv_heads, rows, shape.head_dim),
            spans=task.spans,
            sights=sights(task.spans, self.tile_rows, self.image_rows),
            tile_rows=self.tile_rows,
        )

    def land(self, sequence: Sequence, image_index: int, embedding: Tensor) -> None:
        want = (self.image_rows, self.text.config.hidden_size)
        if tuple(embedding.shape) != want:
            raise ValueError(
                f"{sequence.id}: expected an embedding of {want} for image {image_index}, "
                f"got {tuple(embedding.shape)}"
            )
        cross = sequence.cross
        assert cross is not None  # opened with the request, since it has images
        copies = cross.places(image_index)
        for number, index in enumerate(self.crossing):
            attention = self.text.layers[index].cross_attn
            keys = attention.k_norm(self._by_head(attention.k_proj(embedding)))
            values = self._by_head(attention.v_proj(embedding))
            for source, target in copies:
                cross.kv[number, 0, :, target] = keys[:, source]
                cross.kv[number, 1, :, target] = values[:, source]

    def forward(self, step: Step) -> Tensor:
        hidden: Tensor = self.text.embed_tokens(step.ids)[None]
        rotary = self.text.rotary_emb(hidden, step.positions)
        crossers = Crossers(step)
        paged = crossed = 0
        for index, layer in enumerate(self.text.layers):
            if index not in self.crossing:
                hidden = layer(
                    hidden,
                    position_embeddings=rotary,
                    attention_mask=None,
                    step=step,
                    kv_layer=paged,
                )
                paged += 1
            else:
                if crossers.pieces:
                    hidden = crossers.through(layer, crossed, hidden[0])[None]
                crossed += 1
        return hidden[0]

    def finish(self, rows: Tensor) -> Tensor:
        out: Tensor = self.text.norm(rows)
        return out

    def _by_head(self, rows: Tensor) -> Tensor:
        return rows.view(len(rows), -1, self.kv_shape.head_dim).transpose(0, 1)


class Crossers:
    """The rows of a step whose requests have images; all others pass by."""

    def __init__(self, step: Step) -> None:
        self.pieces = [piece for piece in step.pieces if piece.sequence.cross is not None]
        whole = len(self.pieces) == len(step.pieces)
        self.rows = None if whole or not self.pieces else _rows(self.pieces, step.ids.device)
        gates = [_gate(piece) for piece in self.pieces]
        shut = any(gate is not None for gate in gates)
        self.mlp_gate = _open_rows(self.pieces, gates, step.ids.device) if shut else None

    def through(self, layer: Any, number: int, hidden: Tensor) -> Tensor:
        """hidden [T, width] after one cross-attention layer, the `number`-th of them."""
        if self.rows is None:
            return self._layer(layer, number, hidden)
        return hidden.index_copy(0, self.rows, self._layer(layer, number, hidden[self.rows]))

    def _layer(self, layer: Any, number: int, hidden: Tensor) -> Tensor:
        attention = layer.cross_attn
        query = attention.q_proj(layer.input_layernorm(hidden))
        query = attention.q_norm(query.view(len(query), -1, attention.head_dim))
        seen = self._attend(query.transpose(0, 1), number, attention)
        hidden = hidden + layer.cross_attn_attn_gate.tanh() * attention.o_proj(seen)
        out = layer.mlp(layer.post_attention_layernorm(hidden))
        if self.mlp_gate is not None:
            out = out * self.mlp_gate.to(out.dtype)
        result: Tensor = hidden + layer.cross_attn_mlp_gate.tanh() * out
        return result

    def _attend(self, query: Tensor, number: int, attention: Any) -> Tensor:
        """query [heads, rows, head_dim] of the crossing rows; returns [rows, width]."""
        query = query.reshape(attention.num_key_value_heads, -1, *query.shape[1:])
        out: list[Tensor] = []
        row = 0
        for piece in self.pieces:
            assert piece.sequence.cross is not None
            keys, values = piece.sequence.cross.kv[number]
            for start, end, rows in piece.sequence.cross.seen(piece.start, piece.end):
                seen = keys[:, rows], values[:, rows]
                if end - start == 1:
                    out.append(attend_row(query[:, :, row], *seen, attention.scaling))
                else:
                    chunk = query[:, :, row : row + end - start]
                    out.append(attend(chunk, *seen, attention.scaling))
                row += end - start
        return torch.cat(out).flatten(1)


def _rows(pieces: list[Piece], device: torch.device) -> Tensor:
    rows = [row for piece in pieces for row in range(piece.rows.start, piece.rows.stop)]
    return torch.tensor(rows, device=device)


def _gate(piece: Piece) -> int | None:
    """How many rows of the piece lie in front of its first image: they skip the gated MLP."""
    assert piece.sequence.cross is not None
    shut = piece.sequence.cross.first_image - piece.start
    return min(shut, piece.end - piece.start) if shut > 0 else None


def _open_rows(pieces: list[Piece], gates: list[int | None], device: torch.device) -> Tensor:
    """[rows, 1]: 0 for a row in front of its request's first image, else 1."""
    gate = torch.ones(sum(piece.end - piece.start for piece in pieces), 1, device=device)
    row = 0
    for piece, shut in zip(pieces, gates, strict=True):
        gate[row : row + (shut or 0)] = 0
        row += piece.end - piece.start
    return gate
