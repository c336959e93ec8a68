"""Threads that compute parts of a batch apart: the same result, the same niceness."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident, get_native_id

import pytest
import torch
from torch import Tensor

from modserve.worker.apart import Apart


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("rows", [1, 3, 4, 7])
def test_parts_make_the_same_whole(rows: int) -> None:
    weight, batch = torch.randn(16, 16), torch.randn(rows, 16)
    parts: list[int] = []

    def compute(part: Tensor) -> Tensor:
        parts.append(len(part))
        return part @ weight

    torch.testing.assert_close(Apart().run(compute, batch), batch @ weight)
    assert len(parts) == (2 if rows >= 4 else 1)
    assert sum(parts) == rows
    assert torch.get_num_threads() == 2


def test_each_part_has_one_thread_that_is_not_the_callers() -> None:
    seen: list[tuple[int, int]] = []

    def compute(part: Tensor) -> Tensor:
        seen.append((torch.get_num_threads(), get_ident()))
        return part

    Apart().run(compute, torch.zeros(4, 1))
    assert [threads for threads, _ in seen] == [1, 1]
    assert get_ident() not in {thread for _, thread in seen}


def test_what_a_part_raises_reaches_the_caller() -> None:
    def fail(part: Tensor) -> Tensor:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        Apart().run(fail, torch.zeros(4, 1))
    assert torch.get_num_threads() == 2


@pytest.mark.skipif(sys.platform != "linux", reason="niceness is a thread's on Linux only")
def test_they_yield_as_their_caller_does_whoever_called_before() -> None:
    apart, found = Apart(), set[int]()

    def compute(part: Tensor) -> Tensor:
        found.add(os.getpriority(os.PRIO_PROCESS, get_native_id()))
        return part

    def called(nice: int) -> None:
        os.setpriority(os.PRIO_PROCESS, get_native_id(), nice)
        torch.set_num_threads(2)
        apart.run(compute, torch.zeros(4, 1))

    for nice in (3, 7):
        found.clear()
        with ThreadPoolExecutor(1) as caller:
            caller.submit(called, nice).result()
        assert found == {nice}
