"""Bodies that fit become structs; whatever does not is told by its path, in one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modserve.gateway.dialect.bodies import ChatBody, CompletionBody, ImagePart
from modserve.gateway.dialect.reading import read
from modserve.gateway.errors import Problem

USER = {"role": "user", "content": "Hello"}
CHAT: dict[str, Any] = {"model": "tiny", "messages": [USER]}


def problem(body: bytes | dict[str, Any], kind: Any = ChatBody) -> Problem:
    with pytest.raises(Problem) as caught:
        read(body if isinstance(body, bytes) else json.dumps(body).encode(), kind)
    return caught.value


def with_part(part: object) -> dict[str, Any]:
    return {**CHAT, "messages": [USER, {"role": "user", "content": [part]}]}


def test_a_chat_is_read_with_its_pictures() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    body = read(json.dumps(with_part(part)).encode(), ChatBody)
    read_part = body.messages[1].content[0]
    assert isinstance(read_part, ImagePart)
    assert (read_part.image_url.url, read_part.image_url.detail) == (
        "data:image/png;base64,AA==",
        "auto",
    )


@pytest.mark.parametrize(
    ("change", "param", "sentence"),
    [
        ({"n": 0}, "n", "expected n to be a whole number at least 1, got 0"),
        ({"n": 99}, "n", "expected n to be a whole number at most 16, got 99"),
        ({"n": "2"}, "n", "expected n to be a whole number or null, got '2'"),
        ({"temperature": 3}, "temperature", "expected temperature to be a number at most 2, got 3"),
        ({"top_p": 0}, "top_p", "expected top_p to be a number above 0, got 0"),
        ({"stream": "yes"}, "stream", "expected stream to be true or false or null, got 'yes'"),
        ({"stop": ["a", 7]}, "stop[1]", "expected stop[1] to be a string, got 7"),
        ({"stop": [""]}, "stop[0]", "expected stop[0] to be a string of length at least 1, got ''"),
        ({"messages": []}, "messages", None),
        ({"messages": "Hello"}, "messages", "expected messages to be a list, got 'Hello'"),
        (
            {"messages": [{"content": "x"}]},
            "messages[0].role",
            "expected messages[0].role, got none",
        ),
        ({"model": None}, "model", "expected model to be a string, got null"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs", None),
        ({"colour": "red"}, "colour", "expected known fields alone, got colour"),
        ({"stream_options": {"x": 1}}, "stream_options.x", None),
        ({"seed": 2**63}, "seed", None),
        (
            {"response_format": {"type": "yaml"}},
            "response_format.type",
            "expected response_format.type to be one of text, json_object, json_schema, got 'yaml'",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
            "response_format.json_schema.schema",
            None,
        ),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], param: str, sentence: str | None) -> None:
    told = problem({**CHAT, **change})
    assert (told.status, told.param) == (400, param)
    if sentence is not None:
        assert told.sentence == sentence


@pytest.mark.parametrize(
    ("part", "end"),
    [
        ({"type": "input_audio", "input_audio": {}}, ".type"),
        ({"type": "image_url", "image_url": "http://a/b.png"}, ".image_url"),
        ({"type": "image_url", "image_url": {"url": "http://a/b.png", "detail": "low"}},
         ".image_url.detail"),
        ({"text": "Hello"}, ".type"),
    ],
)  # fmt: skip
def test_a_wrong_part_of_a_message_is_named(part: object, end: str) -> None:
    assert problem(with_part(part)).param == f"messages[1].content[0]{end}"


@pytest.mark.parametrize(
    "field",
    [
        {"tools": [{"type": "function"}]},
        {"logit_bias": {"7": 1}},
        {"store": True},
        {"store": 0},
        {"modalities": ["text", "audio"]},
        {"reasoning_effort": "low"},
    ],
)
def test_what_is_not_supported_is_refused_by_name(field: dict[str, Any]) -> None:
    (name,) = field
    told = problem({**CHAT, **field})
    assert (told.status, told.param, told.code) == (400, name, "unsupported_parameter")
    assert name in told.sentence


def test_what_asks_for_nothing_may_be_said() -> None:
    nothing: dict[str, Any] = {
        "tools": [],
        "tool_choice": "none",
        "response_format": {"type": "text"},
        "logit_bias": None,
        "store": False,
        "service_tier": "auto",
        "metadata": {},
    }
    answer = {"role": "assistant", "content": "Hi", "refusal": None, "tool_calls": None}
    body = {**CHAT, **nothing, "messages": [USER, answer, USER]}
    assert len(read(json.dumps(body).encode(), ChatBody).messages) == 3


def test_a_field_of_a_message_that_is_not_supported_is_refused_by_its_path() -> None:
    asked = {**CHAT, "messages": [USER, {**USER, "name": "alice"}]}
    assert problem(asked).param == "messages[1].name"


@pytest.mark.parametrize("field", [{"echo": True}, {"best_of": 2}, {"suffix": "."}])
def test_what_a_completion_cannot_do_is_refused_by_name(field: dict[str, Any]) -> None:
    (name,) = field
    assert problem({"model": "tiny", "prompt": "x", **field}, CompletionBody).param == name


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"7", b'"x"', b'{"a":NaN}', b"\xff", b"[" * 100_000, b'{"model":"\\ud800"}'],
)
def test_what_is_no_object_is_told(body: bytes) -> None:
    told = problem(body)
    assert told.status == 400
    assert told.sentence.startswith("expected ")


def test_a_long_value_is_not_repeated() -> None:
    told = problem({**CHAT, "n": "secret " * 1000})
    assert told.sentence == "expected n to be a whole number or null, got a string"
