"""A worker that changes its stages: what it loads then, and what it gives back."""

from __future__ import annotations

import os
import shutil
import sys
import weakref
from pathlib import Path
from queue import SimpleQueue
from threading import get_native_id

import pytest
import torch

from modserve.scheduler.stage import ROLES
from modserve.transport.checkpoint import BadCheckpoint, read_facts
from modserve.transport.messages import Sampling, Welcome
from modserve.worker.assembly import Stages, assemble
from modserve.worker.engine import Engine
from modserve.worker.halves import Halves
from modserve.worker.text.text_work import TextTask

from ..checkpoints import make_llama, make_llava_onevision, make_mllama


class Process:
    """Assembles as a worker process does, and counts the bytes that it loads."""

    def __init__(self, folder: Path) -> None:
        self.loaded = 0
        self._halves = Halves()
        self._part = Welcome(
            name="w",
            model=str(folder),
            fingerprint="",
            dtype="float32",
            block_size=16,
            threads=1,
            beat_s=1.0,
            rejoin_s=1.0,
            kv_bytes=2**20,
            store_bytes=0,
            staging_bytes=0,
            step_tokens=64,
            step_image_tokens=512,
            prefix_bytes=0,
        )

    def become(self, role: str) -> Stages:
        def progress(done: int, total: int) -> None:
            self.loaded += total if done == total else 0

        device = torch.device("cpu")
        return assemble(self._part, ROLES[role], device, progress, self._halves)


def tokens(stages: Stages) -> list[int]:
    """Eight greedy ones."""
    stage, found = stages.text, []
    assert stage is not None
    sampling = Sampling(max_tokens=8, ignore_eos=True, seed=0)
    stage.admit(TextTask("a", tuple(range(20)), 20, sampling, order=0))
    while not (step := stage.step()).idle:
        found += [one.token_id for one in step.progress if one.token_id is not None]
    return found


@pytest.mark.parametrize("make", [make_llava_onevision, make_mllama])
def test_there_and_back_loads_every_half_once(make: object, tmp_path: Path) -> None:
    process = Process(make(tmp_path))  # type: ignore[operator]
    seen = []
    for role in ("all", "encode", "all", "prefill", "text", "decode", "encode", "text"):
        stages = process.become(role)
        assert (stages.encode is None) == (role not in ("all", "encode"))
        assert (stages.text is None) == (role == "encode")
        if role in ("all", "text"):
            seen.append(tokens(stages))
        if role == "all" and len(seen) == 1:
            everything = process.loaded
    assert process.loaded == everything > 0
    assert seen == [seen[0]] * 4


def test_a_half_is_loaded_when_it_is_needed_and_then_kept(tmp_path: Path) -> None:
    folder = make_llava_onevision(tmp_path)
    process, whole = Process(folder), Process(folder)
    process.become("encode")
    vision = process.loaded
    process.become("text")
    text = process.loaded - vision
    process.become("encode")
    process.become("prefill")
    whole.become("all")
    assert min(vision, text) > 0
    assert process.loaded == vision + text == whole.loaded


def test_the_pool_of_a_text_stage_ends_with_it(tmp_path: Path) -> None:
    process = Process(make_llava_onevision(tmp_path))
    engine = Engine(process.become("text"), SimpleQueue[object]().put)
    assert engine.stages.text is not None
    pool = weakref.ref(engine.stages.text.pool)
    engine.start()
    assert engine.stop(10)
    assert pool() is None
    assert process.become("encode").kv_blocks == 0


def test_of_a_text_only_model_there_is_nothing_to_encode(tmp_path: Path) -> None:
    process = Process(make_llama(tmp_path))
    process.become("text")
    loaded = process.loaded
    assert process.become("all").encode is None
    assert process.loaded == loaded
    with pytest.raises(BadCheckpoint, match="expected a model with images for an encode worker"):
        process.become("encode")


def test_a_half_of_another_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = make_llava_onevision(tmp_path / "one")
    process = Process(folder)
    process.become("text")
    shutil.copytree(make_llava_onevision(tmp_path / "two", seed=2), folder, dirs_exist_ok=True)
    process.become("prefill")  # it has that
    with pytest.raises(BadCheckpoint, match="expected the checkpoint of before"):
        process.become("encode")


@pytest.mark.skipif(sys.platform != "linux", reason="niceness is a thread's on Linux only")
def test_an_engine_that_starts_again_yields_as_its_new_stages_do(tmp_path: Path) -> None:
    facts = read_facts(make_llama(tmp_path))
    found: SimpleQueue[int] = SimpleQueue()
    engine = Engine(Stages("", "float32", facts, None, None, None, None, 0), lambda result: None)
    for nice in (7, 3):
        engine.start(nice)
        engine.call(lambda: found.put(os.getpriority(os.PRIO_PROCESS, get_native_id())))
        assert found.get(timeout=10) == nice
        assert engine.stop(10)
