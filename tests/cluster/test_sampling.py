"""The same seed gives the same tokens: alone, among others, and in every layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from modserve.client import Refused

from .asking import answer, answers, mixed_asks, run
from .cluster import ENCODE_TEXT, MONOLITH, SPLIT
from .conftest import Clusters
from .references import Ask, Reference

pytestmark = pytest.mark.slow

WAYS = [
    {"temperature": 0.8, "seed": 11},
    {"temperature": 1.3, "top_k": 20, "seed": 12},
    {"temperature": 1.0, "top_p": 0.9, "repetition_penalty": 1.2, "seed": 13},
    {"temperature": 1.5, "min_p": 0.05, "presence_penalty": 0.5, "seed": 2**63 - 1},
]


def sampled(tokens: int = 24) -> list[Ask]:
    asks = mixed_asks(tokens, seed=3)
    return [replace(ask, options=WAYS[number % len(WAYS)]) for number, ask in enumerate(asks)]


@pytest.mark.parametrize("checkpoint", ["llava", "mllama"])
def test_a_seed_decides_whatever_the_layout_and_the_company(
    clusters: Clusters, reference_of: Callable[[str], Reference], checkpoint: str
) -> None:
    reference, seen = reference_of(checkpoint), set()
    for layout in (MONOLITH, ENCODE_TEXT, SPLIT):
        cluster = clusters.get(reference.folder, layout)

        async def body() -> None:
            async with cluster.client() as client:  # noqa: B023
                together = await answers(client, sampled(), reference)
                alone = [await answer(client, ask, reference) for ask in sampled()[::3]]
            assert [one.token_ids for one in alone] == [one.token_ids for one in together[::3]]
            seen.add(tuple(one.token_ids for one in together))

        run(body())
    assert len(seen) == 1


def test_another_seed_gives_other_tokens(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.get(reference.folder, SPLIT)

    async def body() -> None:
        first = sampled()[0]
        other = replace(first, options={**first.options, "seed": 99})
        async with cluster.client() as client:
            got = await answers(client, [first, other], reference)
        assert got[0].token_ids != got[1].token_ids

    run(body())


def test_an_answer_follows_its_schema_in_every_layout(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference, seen = reference_of("llava"), set()
    schema = {"type": "array", "items": {"type": "boolean"}, "minItems": 3, "maxItems": 9}
    for layout in (MONOLITH, SPLIT):
        cluster = clusters.get(reference.folder, layout)

        async def body() -> None:
            async with cluster.client() as client:  # noqa: B023
                told = await client.generate(
                    "Hi", json_schema=schema, temperature=2.0, seed=1, max_tokens=200
                )
                assert told.finish_reason == "stop"
                assert {type(one) for one in json.loads(told.text)} == {bool}
                seen.add(told.text)
                with pytest.raises(Refused, match="Invalid type: boole"):
                    await client.generate("Hi", json_schema={"type": "boole"})
                with pytest.raises(Refused, match="expected json_schema without ignore_eos"):
                    await client.generate("Hi", json_schema=schema, ignore_eos=True)

        run(body())
    assert len(seen) == 1
