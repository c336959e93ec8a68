"""Systems by name, as clusters of real models on real GPUs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modserve.scheduler.costs.gpus import gpu
from modserve.scheduler.costs.models import MODELS, model
from modserve.scheduler.scaling.registry import POLICIES
from modserve.simulator.layout import divide, gpus_of, read_layout
from modserve.simulator.systems import SYSTEMS, build, system

A100 = gpu("a100")


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("served", MODELS)
@pytest.mark.parametrize("gpus", [8, 128, 1024])
def test_every_system_serves_every_model(name: str, served: str, gpus: int) -> None:
    which = system(name)
    gpus = max(gpus, sum(share.tp for share in which.shares))
    layout = divide(gpus, which.shares)
    cluster = build(which, model(served), A100, layout, scales=False)
    assert cluster.gpus == gpus_of(layout) == gpus
    assert cluster.scheduling == which.scheduling
    assert cluster.scheduling.scaling == "off"
    row = model(served).embedding_bytes(16 * model(served).image_tokens(896, 896))
    for group in cluster.groups:
        assert group.store_bytes == 0 or group.store_bytes > row


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_that_scales_keeps_within_its_gpus(name: str) -> None:
    which = system(name)
    layout = divide(64, which.shares)
    cluster = build(which, model("llama3.2-11b"), A100, layout, scales=True)
    assert cluster.scheduling.scaling in POLICIES
    assert cluster.scheduling.limits.gpus == 64
    assert {group.pool for group in cluster.groups} == cluster.scheduling.limits.pools.keys()
    for group in cluster.groups:
        assert cluster.scheduling.limits.of(group.pool).gpus == group.gpus


def test_systems_differ_by_more_than_their_names() -> None:
    found = {repr(replace(one, name="")) for one in SYSTEMS.values()}
    assert len(found) == len(SYSTEMS)


def test_a_system_that_is_none_is_one_sentence() -> None:
    told = "expected a system of .*monolith-strong, .*, got 'vllm'"
    with pytest.raises(ValueError, match=told):
        system("vllm")


def test_a_model_that_does_not_fit_is_one_sentence() -> None:
    layout = read_layout("text=1@1,encode=1@1")
    told = "expected weights of llava-ov-72b for text that fit on 1 a100, got 145 GB for 72 GB"
    with pytest.raises(ValueError, match=told):
        build(system("modserve"), model("llava-ov-72b"), A100, layout, scales=False)
