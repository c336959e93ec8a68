"""The check for machines with CUDA, as far as a machine without can run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from modserve.bench import big_model, big_speed, device_links, parity

CPU = torch.device("cpu")
SCRIPT = Path(__file__).parents[2] / "bench" / "gpu_check.py"


@pytest.mark.slow
def test_without_cuda_it_says_so_in_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT],
        capture_output=True,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stdout.startswith("expected a CUDA device, got none")
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_engine_and_transformers_say_the_same_tokens() -> None:
    figures = parity.measure(CPU)
    assert [figure.ratio for figure in figures] == [1.0, 1.0]


@pytest.mark.slow
def test_every_speed_has_its_floor_or_its_rival() -> None:
    sizes = big_speed.TINY
    model = big_model.make(CPU, kv_tokens=sizes.kv_tokens, step_tokens=64, tiny=True)
    figures = big_speed.measure(model, CPU, sizes)
    floors = {figure.name for figure in figures if figure.reference is None}
    assert floors == {"matrix product, bfloat16", "memory, read"}
    assert all(figure.value > 0 for figure in figures)
    assert all(figure.ratio for figure in figures if figure.name not in floors)
    assert model.text.pool.tables.used == 0


def test_the_engine_shares_the_weights_of_transformers_model() -> None:
    model = big_model.make(CPU, kv_tokens=64, step_tokens=64, tiny=True)
    (ours,) = model.text.lm_head.parameters()
    assert ours.data_ptr() == model.reference.lm_head.weight.data_ptr()
    newline = model.reference.model.image_newline
    assert model.vision.image_newline.data_ptr() == newline.data_ptr()


@pytest.mark.slow
def test_a_tensor_arrives_whole_in_another_process() -> None:
    (figure,) = device_links.measure(("cpu", "cpu"), (100_000,))
    assert figure.value > 0
    assert figure.note == ""
