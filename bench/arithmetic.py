"""What a stage has to compute and to read, by formula: the numerators of every share.

FLOPs = 2 × weights × tokens + 4 × T² × width per layer, with T the tokens that attend to one
another; causal attention is counted whole, as is usual.
"""

from __future__ import annotations

from typing import Any

from torch import nn


def layers_weights(text: Any) -> int:
    """Weights that every token of a text model passes: neither embedding nor head."""
    return _matrices(text.layers)


def vision_weights(half: Any) -> int:
    """Weights that every patch passes: patch embedding, layers, projector."""
    tower = _tower(half)
    table = tower.embeddings.position_embedding.weight.numel()
    return _matrices(tower) + _matrices(half.multi_modal_projector) - table


def prefill_flops(text: Any, tokens: int) -> float:
    config = text.config
    attention = 4 * tokens**2 * config.hidden_size * len(text.layers)
    return float(2 * layers_weights(text) * tokens + attention)


def encode_flops(half: Any, tiles: int) -> float:
    config = half.config.vision_config
    patches = (config.image_size // config.patch_size) ** 2
    layers = len(_tower(half).encoder.layers)
    attention = 4 * patches**2 * config.hidden_size * layers
    return float(tiles * (2 * vision_weights(half) * patches + attention))


def decode_flops(text: Any, head: Any, rows: int) -> float:
    """One step of `rows` sequences, attention left out."""
    return float(2 * (layers_weights(text) + head.weight.numel()) * rows)


def decode_bytes(text: Any, head: Any) -> float:
    """What one step must read of the weights, whatever its rows."""
    return float((layers_weights(text) + head.weight.numel()) * head.weight.element_size())


def step_seconds(text: Any, head: Any, rows: int, *, flops: float, reads: float) -> float:
    """A decode step at the rate of a matrix product (FLOP/s), or as fast as its weights can be
    read (bytes/s), whichever is slower."""
    return max(decode_bytes(text, head) / reads, decode_flops(text, head, rows) / flops)


def _tower(half: Any) -> Any:
    """Older transformers keep SigLIP's modules one level deeper."""
    return getattr(half.vision_tower, "vision_model", half.vision_tower)


def _matrices(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters() if weight.dim() > 1)
