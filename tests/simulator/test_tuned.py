"""Tuned splits: every one of them can be built, and is taken where it is meant."""

from __future__ import annotations

import pytest

from modserve.scheduler.costs.gpus import gpu
from modserve.scheduler.costs.models import model
from modserve.simulator.layout import divide, gpus_of, read_layout, write_layout
from modserve.simulator.systems import build, system
from modserve.simulator.tuned import AZURE, GPU, LAYOUTS, tuned


@pytest.mark.parametrize(("name", "served", "workload"), LAYOUTS)
def test_a_tuned_split_is_one_of_128_gpus(name: str, served: str, workload: str) -> None:
    text = LAYOUTS[name, served, workload]
    which = system(name)
    shares = which.shares_for(128, served, GPU, workload)
    layout = divide(128, shares)
    assert write_layout(layout) == text
    assert gpus_of(read_layout(text)) == 128
    build(which, model(served), gpu(GPU), layout, scales=False)


def test_what_was_not_tuned_has_the_split_of_its_system() -> None:
    which = system("paper")
    assert which.shares_for(128, "llava-ov-72b", GPU, AZURE) is which.shares
    assert which.shares_for(128, "llama3.2-11b", "h100", AZURE) is which.shares
    assert which.shares_for(128, "llama3.2-11b", GPU, None) is which.shares
    assert tuned("paper", "llama3.2-11b", "") is None


def test_ablations_have_the_split_of_the_paper() -> None:
    for name in ("decoupling", "scheduling", "overlap", "caches"):
        told = system(name).shares_for(128, "llama3.2-11b", GPU, AZURE)
        assert told == system("paper").shares_for(128, "llama3.2-11b", GPU, AZURE)
