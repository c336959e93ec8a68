"""The description that a gateway serves is one, and says what requests are read into."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from modserve.cli.cluster import Cluster
from modserve.gateway.openapi import description

from .test_equality import CHATS

PICTURE = Path(__file__).parents[2] / "examples" / "seven.png"
TOLD = description(["tiny"], 1000, ["standard", "batch"])
CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}


def fits(body: dict[str, Any], name: str = "ChatBody") -> bool:
    schema = {"$ref": f"#/components/schemas/{name}", "components": TOLD["components"]}
    return jsonschema.Draft202012Validator(schema).is_valid(body)


@pytest.mark.parametrize("name", TOLD["components"]["schemas"])
def test_every_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(TOLD["components"]["schemas"][name])


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(TOLD)
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.partition('"')[0] in TOLD["components"]["schemas"]


@pytest.mark.parametrize("said", CHATS)
def test_what_is_answered_fits(said: str) -> None:
    assert fits({**CHAT, "messages": CHATS[said], "tools": [], "stream": True})


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"n": 17},
        {"colour": "red"},
        {"tools": [{}]},
        {"top_logprobs": 3},
        {"stream_options": {"include_usage": True}},
        {"messages": []},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
    ],
)
def test_what_is_refused_does_not(change: dict[str, Any]) -> None:
    assert not fits({**CHAT, **change})


@pytest.mark.parametrize("prompt", ["x", [1, 2], [[1], [2]], ["a", "b"]])
def test_a_prompt_is_a_text_or_ids_or_several_of_either(prompt: Any) -> None:
    assert fits({"model": "tiny", "prompt": prompt}, "CompletionBody")
    odds: list[Any] = ["", [], [[]], [1, "a"], ["a", [1]], [1000]]
    for odd in odds:
        assert not fits({"model": "tiny", "prompt": odd}, "CompletionBody")


@pytest.mark.slow
@pytest.mark.wide
@pytest.mark.filterwarnings("default")
def test_schemathesis_finds_nothing(cluster: Cluster) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    url = f"data:image/png;base64,{base64.b64encode(PICTURE.read_bytes()).decode()}"
    schemathesis.openapi.format("picture-url", some.just(url))
    described = httpx2.get(f"{cluster.http}/openapi.json", timeout=60).json()
    for name in ("ChatBody", "CompletionBody"):  # not what costs the time
        fields = described["components"]["schemas"][name]["properties"]
        fields["max_tokens"] = {"type": "integer", "minimum": 1, "maximum": 4}
    schema = schemathesis.openapi.from_dict(described)
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate(base_url=cluster.http, timeout=60)

        ask()
