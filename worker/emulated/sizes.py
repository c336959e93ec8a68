"""How large the tensors would be that nobody makes: handles name them, links take their time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

from ...scheduler.model import ModelFacts
from ...transport.checkpoint import read_facts
from ...transport.messages import Part, TensorHandle, Welcome
from .profile import Emulation

FULL_CONTEXTS = 256  # of KV, where neither profile nor controller says how much


@cache
def facts_of(folder: str) -> ModelFacts:
    """Read once for all workers of this process; raises BadCheckpoint."""
    return read_facts(Path(folder))


@dataclass(slots=True)
class Sizes:
    """Of one worker: what it offers, under its name, and how many blocks of KV it has."""

    owner: str
    epoch: int
    facts: ModelFacts
    dtype: str
    kv_blocks: int
    _ids: count[int]

    @classmethod
    def of(cls, part: Welcome, epoch: int, emulation: Emulation) -> Sizes:
        facts = facts_of(part.model)
        dtype = emulation.dtype if part.dtype == "auto" else part.dtype
        sizes = cls(part.name, epoch, facts, dtype, emulation.kv_blocks, count(1))
        if not sizes.kv_blocks and part.kv_bytes:
            sizes.kv_blocks = max(1, part.kv_bytes // (sizes.token_bytes * part.block_size))
        elif not sizes.kv_blocks:
            sizes.kv_blocks = FULL_CONTEXTS * -(-facts.context // part.block_size)
        return sizes

    @property
    def dtype_bytes(self) -> int:
        return 4 if self.dtype == "float32" else 2

    @property
    def token_bytes(self) -> int:
        """K and V of a token in all layers."""
        facts = self.facts
        return 2 * facts.layers * facts.kv_heads * facts.head_dim * self.dtype_bytes

    def embedding(self, rows: int) -> TensorHandle:
        return self._handle((rows, self.facts.hidden), rows * self.facts.hidden * self.dtype_bytes)

    def kv(self, tokens: int) -> TensorHandle:
        facts = self.facts
        shape = (facts.layers, 2, facts.kv_heads, tokens, facts.head_dim)
        return self._handle(shape, tokens * self.token_bytes)

    def _handle(self, shape: tuple[int, ...], size: int) -> TensorHandle:
        return TensorHandle(
            self.owner, self.epoch, next(self._ids), (Part(shape, self.dtype, size),)
        )


def bytes_of(handle: TensorHandle) -> int:
    return sum(part.bytes for part in handle.parts)
