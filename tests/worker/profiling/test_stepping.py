"""Trials of the text stage: each is a step of exactly its work, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from modserve.scheduler.costs.text import TextWork
from modserve.worker.profiling.grids import FULL
from modserve.worker.profiling.stepping import Stepper, StepShape, trials

from ...checkpoints import make_llava_onevision, make_mllama
from ..text_requests import Checkpoint

MAKERS = [make_llava_onevision, make_mllama]


@pytest.fixture(scope="module", params=MAKERS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    make: Callable[[Path], Path] = request.param
    return Checkpoint(make(tmp_path_factory.mktemp("model")))


@pytest.mark.parametrize(
    "shape",
    [
        StepShape((0, 40)),
        StepShape((33, 7)),
        StepShape(None, 1, 16),
        StepShape(None, 5, 30),
        StepShape((64, 16), 3, 20),
    ],
)
def test_a_trial_is_one_step_of_its_work(model: Checkpoint, shape: StepShape) -> None:
    stage = model.stage(blocks=64)
    assert Stepper(stage, 100).time(shape).seconds > 0  # it raises where the step has other rows
    assert not stage.sequences
    assert stage.pool.tables.free == 64


def test_a_step_that_is_cut_is_no_trial(model: Checkpoint) -> None:
    with pytest.raises(RuntimeError, match="expected a step of 40 rows, got 32"):
        Stepper(model.stage(blocks=64, step_tokens=32), 100).time(StepShape((0, 40)))


def test_what_does_not_fit_is_left_out(model: Checkpoint) -> None:
    shapes = [
        StepShape((0, 40)),
        StepShape((64, 16)),
        StepShape(None, 9, 16),
        StepShape(None, 1, 90),
    ]
    stage = model.stage(blocks=16, step_tokens=32)
    assert [trial.work for trial in trials(stage, 100, 90, shapes)] == [TextWork(((64, 16),))]


def test_the_work_of_a_shape_is_what_its_step_computes() -> None:
    assert StepShape((64, 16), 3, 20).work == TextWork(((64, 16),), 3, 60)
    assert StepShape((64, 16)).work.rows == 16
    works = [shape.work for shape in FULL.steps()]
    assert len(works) == len({(tuple(w.chunks), w.decodes, w.decode_context) for w in works})
