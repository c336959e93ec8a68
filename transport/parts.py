"""Tensors seen as the parts of a handle, and as flat runs of bytes that share their memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from .messages import Part, TensorHandle
from .tensors import SizeMismatch


def part_of(tensor: Tensor) -> Part:
    return Part(tuple(tensor.shape), dtype_name(tensor.dtype), tensor.nbytes)


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def empty_like_part(part: Part, device: torch.device) -> Tensor:
    """Raises SizeMismatch where shape, dtype and bytes do not agree."""
    dtype = getattr(torch, part.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise SizeMismatch(f"expected the name of a dtype, got {part.dtype!r}")
    elements = 1
    for length in part.shape:
        elements *= length
    if min(part.shape, default=0) < 0 or elements * dtype.itemsize != part.bytes:
        raise SizeMismatch(f"expected {part.bytes} bytes, got {part.shape} of {part.dtype}")
    return torch.empty(part.shape, dtype=dtype, device=device)


def flat_bytes(tensor: Tensor) -> Tensor:
    """uint8 [bytes] on the same memory; the tensor must be contiguous."""
    return tensor.reshape(-1).view(torch.uint8)


def pieces(flat: Tensor, length: int) -> Iterator[Tensor]:
    """Views of at most `length` bytes that cover uint8 [bytes]; none where it is empty."""
    for start in range(0, flat.numel(), length):
        yield flat[start : start + length]


def check_fits(handle: TensorHandle, into: Sequence[Tensor]) -> None:
    """Raises SizeMismatch unless each tensor takes exactly its part's elements."""
    if len(into) != len(handle.parts):
        raise SizeMismatch(f"expected {len(handle.parts)} tensors, got {len(into)}")
    for part, tensor in zip(handle.parts, into, strict=True):
        got = part_of(tensor)
        if (got.bytes, got.dtype) != (part.bytes, part.dtype):
            raise SizeMismatch(
                f"expected {part.bytes} bytes of {part.dtype}, got {got.bytes} of {got.dtype}"
            )


def check_device(tensors: Iterable[Tensor], here: torch.device) -> None:
    """Raises ValueError for a tensor that a port of this device cannot move."""
    for tensor in tensors:
        if tensor.device.type != here.type:
            raise ValueError(f"expected a tensor on {here}, got one on {tensor.device}")
