"""The shipped small model, served by one process for each stage, sees what it was never shown.

All of the held-out scans, and as many held-out scenes and comparisons as training itself reports
on, each exactly right or wrong; the seeds differ from training's own.
"""

from __future__ import annotations

import asyncio

import pytest

from modserve.client import AsyncClient
from modserve.tiny import comparisons, digits, layout, scenes
from modserve.tiny.samples import Sample

from .asking import png_of, run
from .cluster import SPLIT
from .conftest import Clusters

pytest.importorskip("sklearn", reason="the scans come with scikit-learn")
pytestmark = pytest.mark.slow

COUNT = 400
SEED = 1234
AT_ONCE = 32
SORTS = {  # the share that must be right
    "scans": (lambda: digits.held_out(seed=SEED), 0.95),
    "scenes": (lambda: scenes.held_out(COUNT, SEED), 0.95),
    "comparisons": (lambda: comparisons.held_out(COUNT, SEED), 0.7),
}


@pytest.mark.parametrize("sort", SORTS)
def test_held_out_images_are_seen_by_the_served_model(clusters: Clusters, sort: str) -> None:
    draw, enough = SORTS[sort]
    samples = list(draw())
    cluster = clusters.get(layout.FOLDER, SPLIT)

    async def body() -> None:
        async with cluster.client() as client:
            texts = await answers(client, samples)
        wrong = [
            (sample.question, sample.answer, text)
            for sample, text in zip(samples, texts, strict=True)
            if text != sample.answer
        ]
        assert len(wrong) <= (1 - enough) * len(samples), wrong[:10]

    run(body())


async def answers(client: AsyncClient, samples: list[Sample]) -> list[str]:
    slots = asyncio.Semaphore(AT_ONCE)

    async def ask(sample: Sample) -> str:
        async with slots:
            files = [png_of(image) for image in sample.images]
            return (await client.generate(sample.question, files, max_tokens=64)).text

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(sample)) for sample in samples]
    return [task.result() for task in tasks]
