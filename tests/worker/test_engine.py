"""The thread that owns torch survives what goes wrong on it."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import modserve.tiny
from modserve.transport.checkpoint import read_facts
from modserve.transport.messages import Sampling
from modserve.worker.alone import stages_alone
from modserve.worker.assembly import Stages
from modserve.worker.encoding import EncodeTask, Encoding
from modserve.worker.engine import Assignment, Broken, Engine, Result

MODEL = Path(modserve.tiny.__file__).parent / "checkpoint"
FACTS = read_facts(MODEL)


def idle() -> Stages:
    """Stages of a worker that has none."""
    return Stages("", "float32", FACTS, None, None, None, None, 0)


def fail() -> None:
    raise RuntimeError("expected this")


def test_a_call_that_fails_is_told_and_those_behind_it_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    results: SimpleQueue[Result | str] = SimpleQueue()
    engine = Engine(idle(), results.put)
    engine.start()
    with caplog.at_level(logging.CRITICAL):
        engine.call(fail)
        engine.call(partial(results.put, "the next call"))
        assert results.get(timeout=10) == Broken([], "a step failed: expected this")
        assert results.get(timeout=10) == "the next call"
    engine.stop(10)


class Burst(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        raise RuntimeError("expected this")


def request(name: str) -> Assignment:
    return Assignment(
        request_id=name,
        run=1,
        client=1,
        order=1,
        rank=0.0,
        tpot_s=1.0,
        token_ids=(1, 2, 3),
        prompt_tokens=3,
        spans=(),
        sampling=Sampling(max_tokens=2, seed=0),
    )


@pytest.mark.slow
def test_an_image_is_encoded_also_behind_a_text_step_that_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Both are there before the first step: no word comes in that would wake the engine."""
    threads = torch.get_num_threads()
    try:
        made = stages_alone(MODEL, torch.device("cpu"), lambda done, total: None, threads=1)
    finally:
        torch.set_num_threads(threads)
    assert made.text is not None
    assert made.geometry is not None
    assert made.vision is not None
    made.text.lm_head = Burst()
    shape = made.geometry.image(64, 64, 1)
    pixels = made.vision.preprocess(Image.new("RGB", (64, 64)), shape.mode)
    results: SimpleQueue[Result] = SimpleQueue()
    engine = Engine(made, results.put)

    def ask() -> None:
        engine.admit(request("a"), adopt=False)
        engine.encode(EncodeTask("seven", 1, pixels, shape.rows))

    with caplog.at_level(logging.CRITICAL):
        engine.start()
        engine.call(ask)
        assert results.get(timeout=10) == Broken([("a", 1)], "a step failed: expected this")
        encoding = results.get(timeout=10)
    assert isinstance(encoding, Encoding)
    assert (encoding.key, encoding.rows is not None) == ("seven", True)
    assert engine.stop(10)
