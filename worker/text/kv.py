"""The paged KV of one text replica: one tensor for all layers, cut into blocks.

A block is `block_size` token slots of every layer. Readers see `[kv_heads, slots, head_dim]`
whatever lies in memory: heads first on a CPU, whose attention walks one head's tokens at a time;
tokens first on CUDA, as its paged kernels want it.

The layout that leaves the pool, for hand-over, is `[layers, 2, kv_heads, tokens, head_dim]`,
contiguous, keys at 0 and values at 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .blocks import BlockTables, Run


@dataclass(frozen=True, slots=True)
class KvShape:
    """What one token takes in the pool; `layers` counts the self-attention layers alone."""

    layers: int
    kv_heads: int
    head_dim: int

    def token_bytes(self, dtype: torch.dtype) -> int:
        return 2 * self.layers * self.kv_heads * self.head_dim * dtype.itemsize


class KvPool:
    def __init__(
        self,
        shape: KvShape,
        *,
        blocks: int,
        block_size: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.shape = shape
        self.block_size = block_size
        self.tables = BlockTables(blocks)
        self.limits: dict[str, int] = {}  # tokens that each owner may come to hold
        self.kv = _storage(shape, blocks * block_size, dtype, device)
        self.keys = [layer[0] for layer in self.kv]
        self.values = [layer[1] for layer in self.kv]

    @property
    def device(self) -> torch.device:
        return self.kv.device

    def blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.block_size)

    def open(self, owner: str, tokens: int, limit: int) -> None:
        """Reserve room for `tokens`; raises NoRoom. `limit`: the tokens it may grow to."""
        self.tables.open(owner, self.blocks_for(tokens), self.blocks_for(max(tokens, limit)))
        self.limits[owner] = max(tokens, limit)

    def missing_blocks(self, owner: str, tokens: int) -> int:
        """Blocks to add before the owner can hold `tokens`."""
        return max(0, self.blocks_for(tokens) - self.tables.tables[owner].blocks)

    def extend(self, owner: str, tokens: int) -> None:
        """Room for `tokens` in all; raises NoRoom. May move the owner's KV to other blocks."""
        if missing := self.missing_blocks(owner, tokens):
            self.tables.extend(owner, missing)
            if len(self.tables.tables[owner].runs) > 1:
                self._gather_home(owner)

    def close(self, owner: str) -> None:
        self.tables.close(owner)
        del self.limits[owner]

    def spare(self, owner: str, name: str, blocks: int) -> None:
        """The owner ends; its first `blocks` stay under another name while nobody needs them."""
        self.tables.spare(owner, name, blocks)
        del self.limits[owner]

    def slot_runs(self, owner: str, start: int, end: int) -> list[slice]:
        """Where tokens start..end lie in the pool, as few slices as possible."""
        slices: list[slice] = []
        passed = 0  # tokens in the runs walked so far
        for run in self.tables.tables[owner].runs:
            first, length = run.start * self.block_size, run.length * self.block_size
            low, high = max(start - passed, 0), min(end - passed, length)
            if low < high:
                slices.append(slice(first + low, first + high))
            passed += length
        if passed < end:
            raise IndexError(f"{owner}: expected room for {end} tokens, got {passed}")
        return slices

    def block_ids(self, owner: str) -> list[int]:
        runs = self.tables.tables[owner].runs
        return [block for run in runs for block in range(run.start, run.end)]

    def slots(self, owner: str, start: int, end: int) -> Tensor:
        """The slot of each token start..end."""
        runs = self.slot_runs(owner, start, end)
        return torch.cat([torch.arange(run.start, run.stop) for run in runs]).to(self.device)

    def export(self, owner: str, start: int, end: int) -> Tensor:
        """A contiguous copy of tokens start..end: [layers, 2, kv_heads, tokens, head_dim]."""
        runs = [self.kv[:, :, :, run] for run in self.slot_runs(owner, start, end)]
        return (
            torch.cat(runs, dim=3)
            if len(runs) > 1
            else runs[0].clone(memory_format=torch.contiguous_format)
        )

    def load(self, owner: str, start: int, chunk: Tensor) -> None:
        """Write what `export` of a pool of the same shape gave, from token `start` on."""
        want = (self.shape.layers, 2, self.shape.kv_heads, chunk.shape[3], self.shape.head_dim)
        if chunk.shape != want or chunk.dtype != self.kv.dtype:
            raise ValueError(
                f"{owner}: expected a KV chunk {want} of {self.kv.dtype}, "
                f"got {tuple(chunk.shape)} of {chunk.dtype}"
            )
        done = 0
        for run in self.slot_runs(owner, start, start + chunk.shape[3]):
            length = run.stop - run.start
            self.kv[:, :, :, run] = chunk[:, :, :, done : done + length]
            done += length

    def copy(self, source: str, owner: str, tokens: int) -> None:
        """The first `tokens` of one owner become those of another, who has the room."""
        done = 0
        for run in self.slot_runs(source, 0, tokens):
            start, length = run.start, run.stop - run.start
            for target in self.slot_runs(owner, done, done + length):
                stop = start + target.stop - target.start
                self.kv[:, :, :, target] = self.kv[:, :, :, start:stop]
                start = stop
            done += length

    def _gather_home(self, owner: str) -> None:
        """One copy now instead of a gather in every layer of every step from now on."""
        limit = self.blocks_for(self.limits[owner])
        if (home := self.tables.home(owner, limit)) is None:
            return
        target = home.start * self.block_size
        for run in self.tables.tables[owner].runs:
            slots = self._slots_of(run)
            self.kv[:, :, :, target : target + (slots.stop - slots.start)] = self.kv[:, :, :, slots]
            target += slots.stop - slots.start
        self.tables.move(owner, home, limit)

    def _slots_of(self, run: Run) -> slice:
        return slice(run.start * self.block_size, run.end * self.block_size)


def _storage(shape: KvShape, slots: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    heads, width = shape.kv_heads, shape.head_dim
    if device.type == "cpu":
        # numpy's zeros are the system's: a page that no request has touched takes no memory
        size = shape.layers * 2 * heads * slots * width * dtype.itemsize
        pages = torch.from_numpy(np.zeros(size, np.uint8))
        return pages.view(dtype).view(shape.layers, 2, heads, slots, width)
    tokens_first = torch.zeros(shape.layers, 2, slots, heads, width, dtype=dtype, device=device)
    return tokens_first.transpose(2, 3)
