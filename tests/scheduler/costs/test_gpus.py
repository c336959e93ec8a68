from __future__ import annotations

import pytest

from modserve.scheduler.costs.gpus import GPUS, Link, gpu


def test_a_gpu_is_found_by_its_name_in_any_case() -> None:
    assert gpu("A100") is GPUS["a100"]


def test_an_unknown_gpu_is_a_sentence_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"^expected a GPU of a100, h100, h200, got 'b200'$"):
        gpu("b200")


@pytest.mark.parametrize("name", GPUS)
def test_the_link_inside_a_server_is_the_faster_one(name: str) -> None:
    assert gpu(name).copy_rate(Link.NVLINK) > 5 * gpu(name).copy_rate(Link.INFINIBAND)


@pytest.mark.parametrize("name", GPUS)
def test_nothing_reaches_more_than_the_datasheet_promises(name: str) -> None:
    reached = gpu(name).reached
    shares = (reached.products, reached.attention, reached.memory, reached.all_reduce, reached.copy)
    assert all(0 < share < 1 for share in shares)
