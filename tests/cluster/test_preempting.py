"""Where KV blocks are short the youngest requests give way, and lose no token by it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .asking import answers, run
from .cluster import MONOLITH, PREFILL_DECODE, SPLIT, TEXT, Layout
from .conftest import Clusters
from .references import Ask, Reference, user, words

pytestmark = pytest.mark.slow

BLOCK = 16  # tokens


def block_bytes(reference: Reference) -> int:
    text = reference.config.get_text_config()
    layers = text.num_hidden_layers - len(getattr(text, "cross_attention_layers", []))
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(2 * layers * text.num_key_value_heads * head * 4 * BLOCK)


@pytest.mark.parametrize(
    ("checkpoint", "layout"),
    [("llama", TEXT), ("llama", PREFILL_DECODE), ("llava", SPLIT), ("mllama", MONOLITH)],
    ids=["text", "prefill+decode", "llava", "mllama"],
)
def test_eight_long_requests_in_room_for_three(
    clusters: Clusters,
    reference_of: Callable[[str], Reference],
    checkpoint: str,
    layout: Layout,
) -> None:
    reference = reference_of(checkpoint)
    # each needs 2 blocks to begin with and 8 in the end
    asks = [Ask(ids=words(20 + number, number), tokens=100) for number in range(7)]
    if checkpoint != "llama":
        asks[3] = Ask(chat=(user("What?", 1),), images=((40, 40, 0),), tokens=80)
    asks.append(Ask(chat=(user("Hello"),), tokens=80))
    parts = {"kv_bytes": 20 * block_bytes(reference)}
    cluster = clusters.fresh(reference.folder, layout, parts=parts)

    async def body() -> None:
        async with cluster.client() as client:
            status = await client.status()
            assert {one["kv_blocks"] for one in status["workers"]} <= {0, 20}
            got = await answers(client, asks, reference)
        for one, ask in zip(got, asks, strict=True):
            assert one.token_ids == reference.tokens(ask)
        assert max(one.timing.runs for one in got if one.timing) > 1

    run(body())
