"""One real cluster with a gateway for a whole module."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from modserve.cli.cluster import Cluster, wait_for


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A controller of the small model with its gateway, and one worker that does everything."""
    with Cluster("tiny", "--http", "127.0.0.1:0") as made:
        wait_for(made.launch("encode", "prefill", "decode", threads=1))
        yield made


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{cluster.http}/v1", api_key="nobody asks for it", max_retries=0, timeout=60
    ) as made:
        yield made
