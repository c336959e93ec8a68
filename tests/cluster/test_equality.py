"""Served tokens equal those of transformers' own `generate`: float32, greedy, in every layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from .asking import answer, answers, image_asks, mixed_asks, run, text_asks
from .cluster import ENCODE_TEXT, MONOLITH, PREFILL_DECODE, SPLIT, TEXT, Cluster, Layout
from .conftest import Clusters
from .references import Ask, Reference

pytestmark = pytest.mark.slow

WITH_IMAGES = ["llava", "llava tied", "mllama", "mllama small tiles"]
TEXT_ALONE = ["llama", "llama tied", "qwen2", "qwen2 tied"]


async def _equal(cluster: Cluster, reference: Reference, asks: Sequence[Ask]) -> None:
    async with cluster.client() as client:
        for got, ask in zip(await answers(client, asks, reference), asks, strict=True):
            assert got.token_ids == reference.tokens(ask), ask
            assert got.finish_reason == "length"


@pytest.mark.parametrize("layout", [MONOLITH, ENCODE_TEXT, SPLIT], ids="+".join)
@pytest.mark.parametrize("checkpoint", WITH_IMAGES)
def test_requests_with_images_one_by_one_and_eight_at_once(
    clusters: Clusters, reference_of: Callable[[str], Reference], checkpoint: str, layout: Layout
) -> None:
    reference = reference_of(checkpoint)
    cluster = clusters.get(reference.folder, layout)

    async def body() -> None:
        alone = [text_asks()[1], *image_asks()[:2]]
        async with cluster.client() as client:
            for ask in alone:
                got = await answer(client, ask, reference)
                assert got.token_ids == reference.tokens(ask), ask
        await _equal(cluster, reference, mixed_asks(seed=1))

    run(body())


@pytest.mark.parametrize("layout", [TEXT, PREFILL_DECODE], ids="+".join)
@pytest.mark.parametrize("checkpoint", TEXT_ALONE)
def test_text_only_checkpoints_eight_at_once(
    clusters: Clusters, reference_of: Callable[[str], Reference], checkpoint: str, layout: Layout
) -> None:
    reference = reference_of(checkpoint)
    cluster = clusters.get(reference.folder, layout)
    run(_equal(cluster, reference, text_asks(seed=2)))
