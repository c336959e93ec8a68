"""Paged attention against one plain call per request on contiguous tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from modserve.transport.messages import Sampling
from modserve.worker.text.attention import paged_attention
from modserve.worker.text.kv import KvPool, KvShape
from modserve.worker.text.sequence import Doing, Sequence
from modserve.worker.text.step import SHORT, Step, lay_out
from modserve.worker.text.text_work import TextTask
from modserve.worker.tokens.sampling import SamplingRow

from .text_requests import silent_emission

HEADS, KV_HEADS, WIDTH, LAYER = 6, 2, 8, 1


@dataclass
class Case:
    """Requests whose keys and values are known whole; `computed` of them are in the pool."""

    pool: KvPool
    batch: list[tuple[Sequence, int]] = field(default_factory=list)
    truth: dict[str, Tensor] = field(default_factory=dict)  # [2, KV_HEADS, tokens, WIDTH]

    def add(self, name: str, computed: int, tokens: int, *, decoding: bool = False) -> None:
        end = computed + tokens
        if name not in self.pool.tables.tables:
            self.pool.open(name, end, end)
        task = TextTask(name, tuple(range(end)), end, Sampling(seed=0), order=0)
        sequence = Sequence(
            task=task,
            doing=Doing.DECODING if decoding else Doing.PREFILLING,
            emission=silent_emission(),
            row=SamplingRow(task.sampling, 0),
            tokens=list(range(end)),
            computed=computed,
        )
        self.truth[name] = torch.randn(2, KV_HEADS, end, WIDTH)
        chunk = torch.zeros(self.pool.shape.layers, 2, KV_HEADS, computed, WIDTH)
        chunk[LAYER] = self.truth[name][:, :, :computed]
        self.pool.load(name, 0, chunk)
        self.batch.append((sequence, tokens))

    def assert_equal(self) -> Step:
        step = lay_out(self.batch, self.pool)
        new = [
            self.truth[piece.sequence.id][:, :, piece.start : piece.end] for piece in step.pieces
        ]
        key, value = torch.cat(new, dim=2)
        query = torch.randn(HEADS, len(step.ids), WIDTH)
        out, _ = paged_attention(
            nn.Identity(),
            query[None],
            key[None],
            value[None],
            None,
            scaling=0.3,
            step=step,
            kv_layer=LAYER,
        )
        for piece in step.pieces:
            keys, values = self.truth[piece.sequence.id]
            want = plainly(query[:, piece.rows], keys, values, piece.start)
            torch.testing.assert_close(out[0, piece.rows], want, rtol=1e-5, atol=1e-5)
            stored = self.pool.export(piece.sequence.id, 0, piece.end)[LAYER]
            assert torch.equal(stored, self.truth[piece.sequence.id])
        return step


def plainly(query: Tensor, keys: Tensor, values: Tensor, start: int) -> Tensor:
    group = HEADS // KV_HEADS
    mask = torch.ones(query.shape[1], keys.shape[1], dtype=torch.bool).tril(start)
    out = scaled_dot_product_attention(
        query[None],
        keys.repeat_interleave(group, 0)[None],
        values.repeat_interleave(group, 0)[None],
        attn_mask=mask,
        scale=0.3,
    )
    return out[0].transpose(0, 1)


@pytest.fixture
def case() -> Case:
    torch.manual_seed(0)
    shape = KvShape(layers=2, kv_heads=KV_HEADS, head_dim=WIDTH)
    pool = KvPool(shape, blocks=256, block_size=4, dtype=torch.float32, device=torch.device("cpu"))
    return Case(pool)


def scatter(case: Case) -> None:
    """Leave no free blocks side by side but those of four: whoever comes gets pieces."""
    free = case.pool.tables.free
    for number in range(free // 4):
        case.pool.open(f"fence {number}", 16, 16)
    for number in range(0, free // 4, 2):
        case.pool.close(f"fence {number}")


def test_decodes_of_equal_length(case: Case) -> None:
    for name in "abc":
        case.add(name, 15, 1, decoding=True)
    assert case.assert_equal().decodes == 3


def test_decodes_of_different_lengths(case: Case) -> None:
    for name, computed in zip("abc", (1, 30, 7), strict=True):
        case.add(name, computed, 1, decoding=True)
    case.assert_equal()


def test_a_whole_prompt_is_causal(case: Case) -> None:
    case.add("a", 0, 21)
    case.assert_equal()


def test_a_later_chunk_sees_all_before_it_and_no_token_behind(case: Case) -> None:
    case.add("a", 10, 9)
    case.assert_equal()


def test_a_chunk_of_one_token_in_front_of_an_image(case: Case) -> None:
    case.add("a", 0, 1)
    case.add("b", 5, 1)
    assert case.assert_equal().decodes == 0


def test_decodes_and_chunks_in_one_step(case: Case) -> None:
    case.add("a", 12, 1, decoding=True)
    case.add("b", 3, 1, decoding=True)
    case.add("c", 8, 6)
    case.add("d", 0, 11)
    case.assert_equal()


def test_requests_whose_blocks_are_scattered(case: Case) -> None:
    scatter(case)
    case.add("decode", 25, 1, decoding=True)
    case.add("chunk", 12, 11)
    assert all(len(case.pool.slot_runs(name, 0, 23)) > 1 for name in ("decode", "chunk"))
    case.assert_equal()


def test_short_decodes_go_together_and_long_ones_alone(case: Case) -> None:
    for number, computed in enumerate([40, 3, SHORT, 17, 300, SHORT - 1]):
        case.add(f"{number}", computed, 1, decoding=True)
    case.add("chunk", 5, 9)
    step = case.assert_equal()
    assert [piece.end for piece in step.pieces] == [4, 18, 41, SHORT, SHORT + 1, 301, 14]
    assert step.short is not None
    assert step.short.count == 4


def test_a_scattered_decode_is_not_among_those_that_go_together(case: Case) -> None:
    scatter(case)
    case.add("scattered", 25, 1, decoding=True)
    for name in ("one", "two", "three"):
        case.add(name, 12, 1, decoding=True)
    step = case.assert_equal()
    assert step.short is not None
    assert [piece.sequence.id for piece in step.pieces] == ["one", "two", "three", "scattered"]
    assert step.short.count == 3
