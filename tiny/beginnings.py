"""First weights of the text model that let it find and copy words from the start.

Keys are made as queries are, so that a word looks for the same word; what a head takes in, it puts
out again. After Trockman and Kolter, Mimetic Initialization of Self-Attention Layers (2023).
"""

from typing import Any

import torch
from torch import Tensor

SEARCH, COPY = 0.5, 0.3  # how strongly, per layer


@torch.no_grad()
def begin(model: Any) -> None:
    """Of a Qwen2 text model, the attention of every layer."""
    for layer in model.layers:
        _begin_attention(layer.self_attn)


def _begin_attention(attention: Any) -> None:
    size, shared = attention.head_dim, attention.num_key_value_groups
    width = attention.q_proj.in_features
    for head in range(attention.k_proj.out_features // size):
        key, value = SEARCH * _projection(width, size), COPY * _projection(width, size)
        rows = slice(size * head, size * (head + 1))
        attention.k_proj.weight[rows] = key
        attention.v_proj.weight[rows] = value
        for query in range(shared * head, shared * (head + 1)):
            rows = slice(size * query, size * (query + 1))
            attention.q_proj.weight[rows] = key
            attention.o_proj.weight[:, rows] = value.T


def _projection(width: int, size: int) -> Tensor:
    """[size, width], its rows orthonormal."""
    basis: Tensor = torch.linalg.qr(torch.randn(width, size)).Q
    return basis.T
