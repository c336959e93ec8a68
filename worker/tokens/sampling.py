"""Chooses the next token of every row of a batch in one set of tensor operations.

Theory of operation. The random number of token i is a hash of (seed, i), so a draw needs no
generator state and a re-run from any token repeats it. The draw inverts the cumulative
distribution, over token ids in their order, at that number. Rows without top-k and top-p are never
sorted; the others look at their leading candidates only (`ordering`), and only a nucleus wider
than those sorts the row. Filters follow vLLM: temperature, min-p, top-k, top-p.

A token may depend on nothing but its own row: hence softmax (a serial loop per row, whatever the
batch) instead of exp and sum, float64 running sums, and an order that is settled among equals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from ...transport.messages import Sampling, TokenLogprobs
from .grammars import Grammar, forbid
from .ordering import leading
from .penalties import Seen, penalise, penalised

_CANDIDATES = 512  # tried first for a nucleus (top-p); most language fits in it
_BLOCK = 512  # a wide row is searched by blocks, then inside one: no running sum over it all
_CACHED = 2**20  # entries
_BELOW_ONE = 1.0 - 2.0**-52


@dataclass(slots=True)
class SamplingRow:
    """One sequence that draws its token number `position` (0 is the first it emits)."""

    sampling: Sampling
    seed: int
    position: int = 0
    seen: Seen | None = None
    grammar: Grammar | None = None

    @classmethod
    def after(
        cls,
        sampling: Sampling,
        seed: int,
        prompt_ids: Sequence[int],
        emitted_ids: Sequence[int],
        grammar: Grammar | None = None,
    ) -> SamplingRow:
        seen = Seen(prompt_ids, emitted_ids) if penalised(sampling) else None
        return cls(sampling, seed, len(emitted_ids), seen, grammar)

    def push(self, token_id: int) -> None:
        self.position += 1
        if self.seen is not None:
            self.seen.push(token_id)
        if self.grammar is not None:
            self.grammar.push(token_id)


@dataclass(frozen=True, slots=True)
class Sampled:
    token_id: int
    logprobs: TokenLogprobs | None


def sample(logits: Tensor, rows: Sequence[SamplingRow]) -> list[Sampled]:
    """The next token of each row of `logits` [n, vocab], which stay as they are."""
    chosen = logits.argmax(-1)
    shaped = [i for i, row in enumerate(rows) if _is_shaped(row)]
    for part in _parts(shaped, logits):
        index = torch.tensor(part, device=logits.device)
        chosen[index] = _choose(logits[index].float(), [rows[i] for i in part])
    tokens: list[int] = chosen.tolist()
    told = _logprobs(logits, chosen, rows)
    return [Sampled(token, told.get(i)) for i, token in enumerate(tokens)]


def _is_shaped(row: SamplingRow) -> bool:
    """Not simply the likeliest token."""
    return row.sampling.temperature > 0 or row.seen is not None or row.grammar is not None


def _parts(rows: list[int], logits: Tensor) -> list[list[int]]:
    """On a CPU a few rows at a time, whose intermediates stay in its cache: half the time."""
    step = max(1, _CACHED // logits.shape[1]) if logits.is_cpu else len(rows)
    return [rows[i : i + step] for i in range(0, len(rows), step)] if rows else []


def uniform(seeds: Sequence[int], positions: Sequence[int]) -> NDArray[np.float64]:
    """One number in [0, 1) for each (seed, position): splitmix64 of one, mixed with the other."""
    seed = np.array([seed & 0xFFFFFFFFFFFFFFFF for seed in seeds], dtype=np.uint64)
    position = np.array(positions, dtype=np.uint64)
    mixed = _splitmix(_splitmix(seed) + position)
    return (mixed >> np.uint64(12)).astype(np.float64) * 2.0**-52


def _splitmix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _choose(logits: Tensor, rows: Sequence[SamplingRow]) -> Tensor:
    """Token ids [n]; `logits` are a float32 copy that penalties and grammars may write to."""
    seen = [(i, row.sampling, row.seen) for i, row in enumerate(rows) if row.seen is not None]
    if seen:
        penalise(logits, seen)
    forbid(logits, [(i, row.grammar) for i, row in enumerate(rows) if row.grammar is not None])
    chosen = logits.argmax(-1)
    for ordered in (False, True):
        part = [
            i
            for i, row in enumerate(rows)
            if row.sampling.temperature > 0 and _needs_order(row.sampling) is ordered
        ]
        if part:
            index = torch.tensor(part, device=logits.device)
            chosen[index] = _draw(logits[index], chosen[index], [rows[i] for i in part], ordered)
    return chosen


def _needs_order(sampling: Sampling) -> bool:
    return sampling.top_k > 0 or sampling.top_p < 1.0


def _draw(logits: Tensor, best: Tensor, rows: Sequence[SamplingRow], ordered: bool) -> Tensor:
    """`best` [n] is the most likely token, taken where a row has no distribution (inf, NaN)."""
    settings = [row.sampling for row in rows]
    scaled = logits - logits.gather(1, best[:, None])
    scaled /= _column([setting.temperature for setting in settings], scaled)
    if any(setting.min_p > 0 for setting in settings):
        floors = [math.log(s.min_p) if s.min_p > 0 else -math.inf for s in settings]
        scaled.masked_fill_(scaled < _column(floors, scaled), -math.inf)
    odds = scaled.softmax(-1)
    draws = uniform([row.seed for row in rows], [row.position for row in rows])
    at = torch.from_numpy(draws).to(logits.device)[:, None]
    drawn = _in_order(logits, odds, at, settings) if ordered else _in_place(odds, at)
    return torch.where(odds.gather(1, drawn[:, None])[:, 0] > 0, drawn, best)


def _in_place(odds: Tensor, at: Tensor) -> Tensor:
    """Inverts the distribution in the order of the token ids."""
    blocks = pad(odds, (0, -odds.shape[1] % _BLOCK)).view(len(odds), -1, _BLOCK)
    running = blocks.sum(-1).cumsum(-1, dtype=torch.float64)
    target = at * running[:, -1:]
    block = _first_above(running, target)
    before = pad(running, (1, 0)).gather(1, block)
    inside = blocks[torch.arange(len(odds), device=odds.device), block[:, 0]]
    inside = inside.cumsum(-1, dtype=torch.float64)
    # a block's sum and its running sum differ by a rounding: stay below the latter's end
    rest = torch.minimum(target - before, inside[:, -1:] * _BELOW_ONE)
    return (block * _BLOCK + _first_above(inside, rest))[:, 0].clamp(max=odds.shape[1] - 1)


def _in_order(logits: Tensor, odds: Tensor, at: Tensor, settings: Sequence[Sampling]) -> Tensor:
    """Inverts the distribution among the leading candidates that top-k and top-p leave."""
    vocab = odds.shape[1]
    wanted = max(s.top_k if s.top_k > 0 else _CANDIDATES for s in settings)
    drawn, closed = _among(logits, odds, at, settings, min(wanted, vocab))
    if not closed.all():
        wide = (~closed).nonzero()[:, 0]
        whole = [settings[i] for i in wide.tolist()]
        drawn[wide] = _among(logits[wide], odds[wide], at[wide], whole, vocab)[0]
    return drawn


def _among(
    logits: Tensor, odds: Tensor, at: Tensor, settings: Sequence[Sampling], count: int
) -> tuple[Tensor, Tensor]:
    """Tokens [n], and whether each row's filters end within its `count` leading candidates."""
    ids = leading(logits, count)
    vocab = odds.shape[1]
    tops = [min(s.top_k, vocab) if s.top_k > 0 else vocab for s in settings]
    top_k = torch.tensor(tops, device=odds.device)[:, None]
    running = odds.gather(1, ids).cumsum(-1, dtype=torch.float64)
    mass = running.gather(1, top_k.clamp(max=count) - 1)
    mass = torch.where(top_k < vocab, mass, 1.0)  # softmax made the whole row sum to 1
    before = pad(running[:, :-1], (1, 0))
    top_p = _column([s.top_p for s in settings], running)
    inside = (before < top_p * mass) | (top_p >= 1.0)
    inside &= torch.arange(count, device=odds.device) < top_k
    inside[:, 0] = True
    kept = inside.sum(-1, keepdim=True)
    closed = (kept < count) | (top_k <= count) | (count == vocab)
    ids = ids.masked_fill(~inside, vocab)[:, : int(kept.max())]
    return _by_id(odds, ids, kept, at), closed[:, 0]


def _by_id(odds: Tensor, ids: Tensor, kept: Tensor, at: Tensor) -> Tensor:
    """Inverts the distribution over the `kept` ids of a row (others are past the vocabulary's end).

    In the order of their odds, two that are all but equal would change places by a rounding, and
    the draw with them; in this one a rounding matters only where it moves the draw's own bounds.
    """
    ids = ids.sort(-1).values
    last = odds.shape[1] - 1
    running = odds.gather(1, ids.clamp(max=last)).masked_fill(ids > last, 0.0)
    running = running.cumsum(-1, dtype=torch.float64)
    place = _first_above(running, at * running[:, -1:]).minimum(kept - 1)
    return ids.gather(1, place)[:, 0]


def _first_above(running: Tensor, target: Tensor) -> Tensor:
    """[n, 1]: index of the first running sum above `target`; the last where there is none."""
    return torch.searchsorted(running, target, right=True).clamp(max=running.shape[1] - 1)


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]


def _logprobs(
    logits: Tensor, chosen: Tensor, rows: Sequence[SamplingRow]
) -> dict[int, TokenLogprobs]:
    """By row: of the model's own distribution, before temperature, penalties and filters."""
    asked = {i: n for i, row in enumerate(rows) if (n := row.sampling.logprobs) is not None}
    told: dict[int, TokenLogprobs] = {}
    for part in _parts(list(asked), logits):
        index = torch.tensor(part, device=logits.device)
        own = logits[index].float()
        logs = own.log_softmax(-1)
        picked = logs.gather(1, chosen[index][:, None])[:, 0].tolist()
        ids = leading(own, min(max(1, *(asked[i] for i in part)), own.shape[1]))
        top = zip(ids.tolist(), logs.gather(1, ids).tolist(), strict=True)
        for i, at, (tokens, values) in zip(part, picked, top, strict=True):
            n = asked[i]
            told[i] = TokenLogprobs(at, tuple(zip(tokens[:n], values[:n], strict=True)))
    return told
