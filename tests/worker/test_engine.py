"""The thread that owns torch survives what goes wrong on it."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import pytest

import modserve.tiny
from modserve.transport.checkpoint import read_facts
from modserve.worker.assembly import Stages
from modserve.worker.engine import Broken, Engine, Result

FACTS = read_facts(Path(modserve.tiny.__file__).parent / "checkpoint")


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
