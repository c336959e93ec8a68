"""Attention over the paged pool, under one name in transformers' `AttentionInterface`.

transformers' layers call `paged_attention` with the keys and values of the step's rows alone; it
writes them into the pool and lets each request's rows attend to that request's tokens.

CPU: one call per request on views of the pool, and one for all decodes with few tokens behind
them, whose copying costs less than the calls. Query heads are folded under the KV head they share:
for decodes as query rows, for chunks as a head dimension over which K and V are broadcast
(`enable_gqa` would copy K and V).
CUDA: torch's own paged kernel where this torch has it, the CPU's way where it has not. The CUDA
code has never been run.
"""

from __future__ import annotations

from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from .step import Piece, Short, Step

try:
    from torch.nn.attention import varlen
except ImportError:  # an older torch
    VARLEN: Any = None
else:
    # block tables came later than the kernel itself
    paged = "block_table" in signature(varlen.varlen_attn).parameters
    VARLEN = varlen.varlen_attn if paged else None

NAME = "modserve_paged"


def paged_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    step: Step,
    kv_layer: int,
    **_: Any,
) -> tuple[Tensor, None]:
    """query [1, heads, T, head_dim]; key and value [1, kv_heads, T, head_dim].

    Returns [1, T, heads, head_dim], as transformers' layers expect it.
    """
    keys, values = step.pool.keys[kv_layer], step.pool.values[kv_layer]
    write(keys, key[0], step)
    write(values, value[0], step)
    if step.paging is not None and VARLEN is not None:
        return _paged_kernel(query[0], keys, values, scaling, step)[None], None
    rows = query[0].reshape(keys.shape[0], -1, *query.shape[2:])  # [kv_heads, group, T, head_dim]
    out = [] if step.short is None else [attend_short(rows, keys, values, step.short, scaling)]
    alone = step.pieces if step.short is None else step.pieces[step.short.count :]
    out += [attend_one(rows, keys, values, piece, scaling) for piece in alone]
    return torch.cat(out)[None], None


def write(pool: Tensor, rows: Tensor, step: Step) -> None:
    """Put the step's rows [kv_heads, T, head_dim] into one layer's keys or values."""
    if step.decodes:
        pool[:, step.decode_slots] = rows[:, : step.decodes]
    for piece in step.pieces[step.decodes :]:
        pool[:, piece.written] = rows[:, piece.rows]


def attend_short(
    query: Tensor, keys: Tensor, values: Tensor, short: Short, scaling: float
) -> Tensor:
    """[rows, heads, head_dim] of the first rows, from the query of the whole step."""
    shape = (keys.shape[0], short.count, -1, keys.shape[2])  # [kv_heads, rows, tokens, head_dim]
    out = scaled_dot_product_attention(
        query[:, :, : short.count].permute(2, 0, 1, 3),
        keys.index_select(1, short.slots).view(shape).transpose(0, 1),
        values.index_select(1, short.slots).view(shape).transpose(0, 1),
        attn_mask=short.mask,
        scale=scaling,
    )
    return out.flatten(1, 2)


def attend_one(query: Tensor, keys: Tensor, values: Tensor, piece: Piece, scaling: float) -> Tensor:
    """[rows, heads, head_dim] of one request, from the query of the whole step."""
    seen = keys[:, piece.slots], values[:, piece.slots]
    if piece.end - piece.start == 1:
        return attend_row(query[:, :, piece.rows.start], *seen, scaling)
    return attend(query[:, :, piece.rows], *seen, scaling, mask=piece.mask, causal=not piece.start)


def attend_row(query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
    """query [kv_heads, group, head_dim] of one row, which sees all of keys and values."""
    out = scaled_dot_product_attention(query[None], keys[None], values[None], scale=scaling)
    return out.flatten(1, 2)


def attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    scaling: float,
    *,
    mask: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """query [kv_heads, group, rows, head_dim]; returns [rows, heads, head_dim]."""
    shared = (-1, query.shape[1], -1, -1)
    out = scaled_dot_product_attention(
        query,
        keys[:, None].expand(shared),
        values[:, None].expand(shared),
        attn_mask=mask,
        is_causal=causal,
        scale=scaling,
    )
    return out.flatten(0, 1).transpose(0, 1)


def _paged_kernel(
    query: Tensor, keys: Tensor, values: Tensor, scaling: float, step: Step
) -> Tensor:
    """Never run: no CUDA machine was at hand when it was written. Bottom-right causal."""
    paging, size = step.paging, step.pool.block_size
    assert paging is not None
    out: Tensor = VARLEN(
        query.transpose(0, 1).contiguous(),
        _blocks(keys, size),
        _blocks(values, size),
        paging.row_starts,
        None,
        paging.most_rows,
        paging.most_tokens,
        scale=scaling,
        window_size=(-1, 0),
        enable_gqa=query.shape[0] != keys.shape[0],
        seqused_k=paging.lengths,
        block_table=paging.table,
    )
    return out


def _blocks(pool: Tensor, size: int) -> Tensor:
    """[blocks, block_size, kv_heads, head_dim]: a view, since a CUDA pool lies tokens first."""
    heads, slots, width = pool.shape
    return pool.transpose(0, 1).view(slots // size, size, heads, width)


AttentionInterface.register(NAME, paged_attention)
