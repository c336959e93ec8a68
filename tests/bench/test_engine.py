"""The parts of the engine's benchmark on a checkpoint of no size: what they count."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from modserve.bench import arithmetic, checkpoint, overhead, throughput
from modserve.bench.driving import stages
from modserve.bench.options import Options
from modserve.bench.pictures import TILES, jpeg, picture


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Options]:
    threads = torch.get_num_threads()
    folder = checkpoint.make(tmp_path_factory.mktemp("checkpoint"), small=True)
    yield Options(folder, threads=1, quick=True)
    torch.set_num_threads(threads)


def test_flops_follow_the_formula(options: Options) -> None:
    made = stages(options.folder, threads=1)
    assert made.text is not None
    text, wide = made.text.half.text, 64
    query_and_out, key_and_value, mlp = 2 * wide * wide, 2 * wide * wide // 2, 3 * wide * 96
    layer = query_and_out + key_and_value + mlp
    assert arithmetic.layers_weights(text) == 2 * layer
    assert arithmetic.prefill_flops(text, 10) == 2 * 2 * layer * 10 + 4 * 10**2 * wide * 2
    head = checkpoint.VOCABULARY * wide
    assert arithmetic.decode_bytes(text, made.text.lm_head) == 4 * (2 * layer + head)


def test_the_picture_is_cut_into_as_many_tiles_as_are_counted(options: Options) -> None:
    made = stages(options.folder, threads=1)
    assert made.geometry is not None
    assert made.geometry.image(*picture(0).size, 1).tiles == TILES
    assert jpeg(0) != jpeg(1)


@pytest.mark.slow
def test_the_engine_and_its_rivals_give_the_same_answers(options: Options) -> None:
    figures = throughput.measure(options)
    notes = [figure.note for figure in figures if figure.note]
    assert notes == ["8 of 8 answers equal"] * 2
    assert all(figure.value > 0 and figure.ratio for figure in figures)


@pytest.mark.slow
def test_every_request_and_token_passes_the_controller(options: Options) -> None:
    figures = overhead.measure(options)
    assert all(figure.value > 0 for figure in figures)
    assert [figure.name for figure in figures][-1] == "CPU per token"
