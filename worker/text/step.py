"""One forward pass of a text stage: every request's rows behind one another in one batch of 1.

Decodes lie in front, one row each; prefill chunks follow. What attention needs of each request
is laid out here once and read by every layer.
"""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass
from itertools import chain, takewhile
from math import inf

import torch
from torch import Tensor

from .kv import KvPool
from .sequence import Doing, Sequence

SHORT, FEWEST = 192, 3  # tokens, and requests, from which padding and copying pay


@dataclass(frozen=True, slots=True)
class Piece:
    """One request's rows: its tokens start..end."""

    sequence: Sequence
    rows: slice
    start: int
    end: int
    slots: slice | Tensor  # of the tokens 0..end; a slice reads a view, a tensor gathers
    mask: Tensor | None  # [rows, end], 0 or -inf; None for a decode and a first chunk

    @property
    def written(self) -> slice | Tensor:
        """The slots of the rows themselves."""
        if isinstance(self.slots, slice):
            return slice(self.slots.start + self.start, self.slots.stop)
        return self.slots[self.start :]


@dataclass(frozen=True, slots=True)
class Paging:
    """What a CUDA kernel that walks block tables wants, for all requests of the step."""

    table: Tensor  # int32 [requests, most blocks]
    row_starts: Tensor  # int32 [requests + 1]
    lengths: Tensor  # int32 [requests]: tokens, those of this step included
    most_rows: int
    most_tokens: int


@dataclass(frozen=True, slots=True)
class Short:
    """Decodes with few tokens behind them, the first pieces of a step: gathered and padded, one
    call of attention for all of them takes less time than one for each."""

    count: int
    slots: Tensor  # [count * longest], the last one of each repeated up to the longest
    mask: Tensor  # [count, 1, 1, longest], 0 or -inf


@dataclass(frozen=True, slots=True)
class Step:
    pool: KvPool
    ids: Tensor  # [T]
    positions: Tensor  # [1, T]
    pieces: list[Piece]
    decodes: int  # the first rows, and the first pieces
    decode_slots: Tensor  # [decodes]: where their keys and values are written
    short: Short | None  # CPU only
    sampled: list[Piece]  # their last rows choose a token
    paging: Paging | None  # CUDA only

    @property
    def sampled_rows(self) -> Tensor:
        rows = [piece.rows.stop - 1 for piece in self.sampled]
        return torch.tensor(rows, device=self.ids.device)


def lay_out(batch: Rows[tuple[Sequence, int]], pool: KvPool) -> Step:
    """`batch`: (sequence, tokens to compute); their blocks are there already. Decodes come first,
    the shortest before the others."""
    pieces: list[Piece] = []
    for sequence, tokens in sorted(batch, key=lambda one: _place(one[0], pool)):
        row = pieces[-1].rows.stop if pieces else 0
        pieces.append(_piece(sequence, row, tokens, pool))
    tokens_of = [piece.sequence.tokens[piece.start : piece.end] for piece in pieces]
    positions = [range(piece.start, piece.end) for piece in pieces]
    decodes = sum(sequence.doing is Doing.DECODING for sequence, _ in batch)
    cuda = pool.device.type == "cuda"
    return Step(
        pool=pool,
        ids=torch.tensor(list(chain.from_iterable(tokens_of)), device=pool.device),
        positions=torch.tensor([list(chain.from_iterable(positions))], device=pool.device),
        pieces=pieces,
        decodes=decodes,
        decode_slots=torch.tensor(
            [_last(piece.slots) for piece in pieces[:decodes]],
            dtype=torch.long,
            device=pool.device,
        ),
        short=None if cuda else _short(pieces[:decodes], pool),
        sampled=[piece for piece in pieces if piece.end == len(piece.sequence.tokens)],
        paging=_paging(pieces, pool) if cuda else None,
    )


def _place(sequence: Sequence, pool: KvPool) -> float:
    """Decodes by length, scattered ones behind the short ones; then prefills as they came."""
    if sequence.doing is not Doing.DECODING:
        return inf
    whole = len(pool.tables.tables[sequence.id].runs) == 1
    return sequence.computed + 1 if whole else max(sequence.computed, SHORT) + 1


def _short(decodes: Rows[Piece], pool: KvPool) -> Short | None:
    """Of decodes in the order of their places."""
    first = takewhile(lambda piece: piece.end <= SHORT, decodes)
    short = [piece.slots for piece in first if isinstance(piece.slots, slice)]
    if len(short) < FEWEST:
        return None
    starts = torch.tensor([[slots.start] for slots in short])
    last = torch.tensor([[slots.stop - slots.start - 1] for slots in short])
    tokens = torch.arange(int(last.max()) + 1)[None]
    mask = torch.zeros(len(short), tokens.shape[1], dtype=pool.kv.dtype)
    mask.masked_fill_(tokens > last, -torch.inf)
    slots = starts + torch.minimum(tokens, last)
    return Short(len(short), slots.flatten(), mask[:, None, None])


def _piece(sequence: Sequence, row: int, tokens: int, pool: KvPool) -> Piece:
    start, end = sequence.computed, sequence.computed + tokens
    return Piece(
        sequence=sequence,
        rows=slice(row, row + tokens),
        start=start,
        end=end,
        slots=_slots(pool, sequence.id, end),
        mask=_mask(start, end, pool.kv),
    )


def _slots(pool: KvPool, owner: str, end: int) -> slice | Tensor:
    runs = pool.slot_runs(owner, 0, end)
    return runs[0] if len(runs) == 1 else pool.slots(owner, 0, end)


def _last(slots: slice | Tensor) -> int:
    return slots.stop - 1 if isinstance(slots, slice) else int(slots[-1])


def _mask(start: int, end: int, like: Tensor) -> Tensor | None:
    """Row i of a later chunk sees tokens 0..start + i; a first chunk is plainly causal.

    Numbers to add, not truth values: attention would turn those into numbers in every layer.
    """
    if start == 0 or end - start == 1:
        return None
    return like.new_full((end - start, end), -torch.inf).triu_(start + 1)


def _paging(pieces: Rows[Piece], pool: KvPool) -> Paging:
    """Never run: no CUDA machine was at hand when it was written."""
    tables = [pool.block_ids(piece.sequence.id) for piece in pieces]
    most = max(len(table) for table in tables)
    padded = [table + [0] * (most - len(table)) for table in tables]
    starts = [piece.rows.start for piece in pieces] + [pieces[-1].rows.stop]
    lengths = [piece.end for piece in pieces]

    def on_device(numbers: list[int] | list[list[int]]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.int32, device=pool.device)

    return Paging(
        table=on_device(padded),
        row_starts=on_device(starts),
        lengths=on_device(lengths),
        most_rows=max(piece.end - piece.start for piece in pieces),
        most_tokens=max(lengths),
    )
