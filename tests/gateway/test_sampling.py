"""The fields of a body as the client library's options."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modserve.client.options import check
from modserve.gateway.dialect.bodies import (
    AnyObject,
    AnyText,
    ChatBody,
    CompletionBody,
    Message,
    NamedSchema,
    OfSchema,
)
from modserve.gateway.dialect.sampling import for_choice, options_of, promised
from modserve.gateway.errors import Problem

HELLO = [Message(role="user", content="Hello")]


def chat(**fields: Any) -> ChatBody:
    return ChatBody(model="tiny", messages=HELLO, **fields)


def test_the_defaults_are_openais() -> None:
    assert options_of(chat(), 500) == {
        "temperature": 1.0,
        "max_tokens": 500,
        "stop": (),
        "top_k": 0,
    }
    assert options_of(CompletionBody(model="tiny", prompt="x"), 500)["max_tokens"] == 16


def test_the_shorter_of_two_lengths_is_kept() -> None:
    assert options_of(chat(max_tokens=7, max_completion_tokens=9), 500)["max_tokens"] == 7
    assert options_of(chat(max_completion_tokens=9), 500)["max_tokens"] == 9


def test_likely_tokens_need_logprobs() -> None:
    assert options_of(chat(logprobs=True), 1)["logprobs"] == 0
    assert options_of(chat(logprobs=True, top_logprobs=5), 1)["logprobs"] == 5
    assert "logprobs" not in options_of(chat(logprobs=False, top_logprobs=0), 1)
    with pytest.raises(Problem, match="logprobs to be true"):
        options_of(chat(top_logprobs=5), 1)


def test_a_format_is_a_schema() -> None:
    schema = {"type": "array"}
    named = OfSchema(json_schema=NamedSchema(name="a", schema=schema))
    assert options_of(chat(response_format=named), 1)["json_schema"] == schema
    assert options_of(chat(response_format=AnyObject()), 1)["json_schema"] == {"type": "object"}
    assert "json_schema" not in options_of(chat(response_format=AnyText()), 1)


def test_one_stop_or_several() -> None:
    assert options_of(chat(stop="."), 1)["stop"] == (".",)
    assert options_of(chat(stop=["a", "b"]), 1)["stop"] == ("a", "b")
    assert options_of(chat(stop=""), 1)["stop"] == ()


@given(some.integers(-(2**63), 2**63 - 1), some.integers(0, 15))
def test_every_seed_of_openais_is_one_of_ours(seed: int, index: int) -> None:
    options = options_of(chat(seed=seed), 1)
    check(for_choice(options, index))
    assert for_choice(options, 0) == options


def test_choices_have_seeds_of_their_own() -> None:
    options = options_of(chat(seed=2**63 - 1), 1)
    assert len({for_choice(options, index)["seed"] for index in range(16)}) == 16


def test_slo_headers_are_promises() -> None:
    told = promised({"x-slo-ttft-ms": "250", "x-slo-tpot-ms": "12.5", "x-slo-class": "batch"})
    assert told == {"ttft_ms": 250.0, "tpot_ms": 12.5, "slo": "batch"}
    assert promised({}) == {}


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "nan", "inf", "1e12"])
def test_an_odd_slo_header_is_named(text: str) -> None:
    with pytest.raises(Problem) as caught:
        promised({"x-slo-ttft-ms": text})
    assert caught.value.param == "x-slo-ttft-ms"
