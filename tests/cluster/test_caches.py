"""Answers with the caches on, off and evicting all the time: the same, and cheaper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .asking import answers, mixed_asks, run
from .cluster import CACHES, ENCODE_TEXT, MONOLITH, SPLIT, Layout, Status, settled
from .conftest import Clusters
from .references import Reference

pytestmark = pytest.mark.slow

OFF = {"prefix_bytes": 0, "image_cache_bytes": 0}
TIGHT = {"prefix_bytes": 200_000, "image_cache_bytes": 8_000}


@pytest.mark.parametrize(
    ("family", "layout", "parts"),
    [
        ("llava", SPLIT, CACHES),
        ("mllama", ENCODE_TEXT, CACHES),
        ("llava", ENCODE_TEXT, TIGHT),
        ("mllama", MONOLITH, TIGHT),
        ("llava", MONOLITH, OFF),
    ],
    ids=["llava", "mllama", "llava evicting", "mllama evicting", "off"],
)
def test_the_same_tokens_whatever_the_caches_hold(
    clusters: Clusters,
    reference_of: Callable[[str], Reference],
    family: str,
    layout: Layout,
    parts: dict[str, Any],
) -> None:
    reference = reference_of(family)
    cluster = clusters.fresh(reference.folder, layout, parts=parts)
    asks = mixed_asks(tokens=8)

    async def body() -> None:
        encoded = []
        async with cluster.client() as client:
            for _ in range(3):
                for ask, got in zip(asks, await answers(client, asks, reference), strict=True):
                    assert got.token_ids == reference.tokens(ask), ask
                status = await settled(client)
                encoded.append(total(status, "image_tokens"))
        for cached in ("prefix_hit_tokens", "kv_blocks_cached", "store_bytes_cached"):
            assert (total(status, cached) > 0) == (parts is not OFF), cached
        assert status["image_cache"]["found"] < status["image_cache"]["asked"]
        again = encoded[2] - encoded[0]
        assert (again == 0) == (parts is CACHES), "every picture is encoded once, if there is room"

    run(body())


def total(status: Status, what: str) -> int:
    return sum(worker[what] for worker in status["workers"])
