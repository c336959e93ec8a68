"""One nursery and one reference per checkpoint for the whole ring; clusters come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ..checkpoints import grid, make_llama, make_llava_onevision, make_mllama, make_qwen2
from .asking import run
from .cluster import Cluster, Layout, settled
from .processes import Nursery
from .references import Reference

CHECKPOINTS: dict[str, tuple[Callable[..., Path], dict[str, Any]]] = {
    "llava": (make_llava_onevision, {"seed": 1}),
    "llava tied": (
        make_llava_onevision,
        {
            "seed": 2,
            "tie_word_embeddings": True,
            "num_key_value_heads": 4,
            "image_size": 30,
            "patch_size": 7,
            "image_grid_pinpoints": grid(30, 4),
        },
    ),
    "mllama": (make_mllama, {"seed": 3}),
    "mllama small tiles": (
        make_mllama,
        {
            "seed": 4,
            "num_key_value_heads": 1,
            "image_size": 35,
            "patch_size": 5,
            "tiles": 3,
            "num_hidden_layers": 3,
            "cross_attention_layers": [0],
        },
    ),
    "llama": (make_llama, {"seed": 5}),
    "llama tied": (
        make_llama,
        {"seed": 6, "num_key_value_heads": 4, "tie_word_embeddings": True, "head_dim": 8},
    ),
    "qwen2": (make_qwen2, {"seed": 7, "num_key_value_heads": 1}),
    "qwen2 tied": (make_qwen2, {"seed": 8, "tie_word_embeddings": True}),
}

Serve = Callable[..., Cluster]


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """The state home of everybody, this process included, is a folder of the tests."""
    folder = tmp_path_factory.mktemp("cluster")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        made = Nursery(folder)
        yield made
        made.close()


@pytest.fixture(scope="session")
def reference_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Reference]:
    """By the name of a checkpoint, which is made when it is first asked for."""
    torch.set_num_threads(1)
    made: dict[str, Reference] = {}

    def find(name: str) -> Reference:
        if name not in made:
            make, how = CHECKPOINTS[name]
            folder = tmp_path_factory.mktemp("checkpoint") / name.replace(" ", "-")
            made[name] = Reference(make(folder, **how))
        return made[name]

    return find


@pytest.fixture(scope="module")
def house(nursery: Nursery) -> Iterator[Clusters]:
    clusters = Clusters(nursery)
    yield clusters
    clusters.close()


class Clusters:
    """One cluster at a time: asked for another, it ends the one it has."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._what: tuple[Any, ...] = ()
        self.cluster: Cluster | None = None

    def get(self, folder: Path, layout: Layout) -> Cluster:
        if (folder, layout) != self._what or self.cluster is None:
            self.fresh(folder, layout)
        assert self.cluster is not None
        return self.cluster

    def fresh(self, folder: Path, layout: Layout, **options: Any) -> Cluster:
        """A cluster that a test may wreck."""
        self.close()
        self.cluster = Cluster(self._nursery, folder, **options)
        self.cluster.add(*layout)
        self._what = () if options else (folder, layout)
        return self.cluster

    def close(self) -> None:
        """Ends the cluster; whatever it went through, its processes have logged no bug."""
        cluster, self.cluster, self._what = self.cluster, None, ()
        if cluster is None:
            return
        cluster.close()
        for process in cluster.processes:
            assert "Traceback" not in process.log, process.log


@pytest.fixture
def clusters(house: Clusters) -> Iterator[Clusters]:
    """Afterwards nothing may be held by any worker of the cluster that the test used."""
    yield house
    if (cluster := house.cluster) is not None and cluster.controller.code is None:
        run(_check(cluster))


async def _check(cluster: Cluster) -> None:
    async with cluster.client() as client:
        await settled(client)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    house = getattr(item, "funcargs", {}).get("house")
    if report.failed and house is not None and house.cluster is not None:
        report.sections += list(house.cluster.tails())
    return report
