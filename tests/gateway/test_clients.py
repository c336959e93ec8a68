"""Clients that people have, unchanged, against a real cluster: `pip install modserve[clients]`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modserve.cli.cluster import Cluster

from ..cluster.processes import wait_until
from .test_equality import CHATS, requests

pytestmark = [
    pytest.mark.slow,
    pytest.mark.wide,
    # what these libraries do with others is theirs
    pytest.mark.filterwarnings("default"),
]

SEVEN = "This is the digit 7."
KEY = "nobody asks for it"


@pytest.fixture
def langchain(cluster: Cluster) -> Any:
    library = pytest.importorskip("langchain_openai")
    return library.ChatOpenAI(
        model="tiny",
        base_url=f"{cluster.http}/v1",
        api_key=KEY,
        temperature=0,
        max_retries=0,
        timeout=60,
    )


def test_langchain_asks_with_pictures_and_streams(langchain: Any) -> None:
    answer = langchain.invoke(CHATS["a picture"])
    assert answer.content == SEVEN
    assert answer.usage_metadata["output_tokens"] == 8
    streamed = "".join(piece.content for piece in langchain.stream(CHATS["a picture"]))
    assert streamed == SEVEN


def test_langchain_gets_what_follows_a_schema(langchain: Any) -> None:
    schema = {
        "title": "Seen",
        "description": "A digit.",
        "type": "object",
        "properties": {"digit": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["digit"],
        "additionalProperties": False,
    }
    structured = langchain.with_structured_output(schema, method="json_schema")
    assert 0 <= structured.invoke(CHATS["a picture"])["digit"] <= 9


def test_langchain_knows_a_refusal(langchain: Any) -> None:
    import openai

    with pytest.raises(openai.BadRequestError, match="tools"):
        langchain.bind_tools([{"type": "function", "function": {"name": "f"}}]).invoke("Hello")


@pytest.fixture
def litellm() -> Any:
    return pytest.importorskip("litellm")


def asked(cluster: Cluster, **fields: Any) -> dict[str, Any]:
    where = {"model": "openai/tiny", "api_base": f"{cluster.http}/v1", "api_key": KEY}
    return {**where, "temperature": 0, "num_retries": 0, "timeout": 60, **fields}


def test_litellm_asks_with_pictures_and_streams(litellm: Any, cluster: Cluster) -> None:
    answer = litellm.completion(**asked(cluster, messages=CHATS["a picture"]))
    assert answer.choices[0].message.content == SEVEN
    assert answer.usage.completion_tokens == 8
    stream = litellm.completion(**asked(cluster, messages=CHATS["a picture"], stream=True))
    assert "".join(piece.choices[0].delta.content or "" for piece in stream) == SEVEN


def test_litellm_knows_the_errors(litellm: Any, cluster: Cluster) -> None:
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**asked(cluster, messages=CHATS["text"], model="openai/other"))
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(**asked(cluster, messages=CHATS["text"], logit_bias={"1": 5}))


def test_litellm_cancels_what_it_leaves(litellm: Any, cluster: Cluster) -> None:
    before = requests(cluster)["cancelled"]

    async def leave() -> None:
        long = asked(cluster, messages=CHATS["text"], stream=True, max_tokens=3000)
        long["extra_body"] = {"ignore_eos": True}
        stream = await litellm.acompletion(**long)
        async for _ in stream:
            break
        await stream.aclose()

    asyncio.run(leave())
    wait_until(lambda: not requests(cluster)["open"], "the end of the request")
    assert requests(cluster)["cancelled"] == before + 1
