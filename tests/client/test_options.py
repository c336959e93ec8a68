"""Every option that no request can have is one sentence before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from modserve.client.asynchronous import submission
from modserve.client.errors import BadInput
from modserve.client.options import Options, sampling_of
from modserve.transport.messages import Sampling


def test_a_schema_travels_as_its_text() -> None:
    assert sampling_of({"json_schema": {"type": "object"}}).json_schema == '{"type":"object"}'
    assert sampling_of({"json_schema": "{}"}).json_schema == "{}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("max_tokens", True),
        ("max_tokens", "7"),
        ("max_tokens", 10**20),
        ("temperature", -1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", None),
        ("temperature", 10**400),
        ("top_k", -1),
        ("top_k", 10**20),
        ("top_p", 0),
        ("top_p", 1.01),
        ("min_p", -0.1),
        ("min_p", float("nan")),
        ("repetition_penalty", 0),
        ("presence_penalty", float("nan")),
        ("frequency_penalty", "much"),
        ("seed", -1),
        ("seed", 2**63),
        ("stop", ""),
        ("stop", ["a", ""]),
        ("stop", [1]),
        ("stop_token_ids", [-1]),
        ("stop_token_ids", 3),
        ("stop_token_ids", [10**20]),
        ("ignore_eos", 1),
        ("json_schema", "no json"),
        ("json_schema", {"enum": {1, 2}}),
        ("json_schema", True),
        ("logprobs", -1),
        ("logprobs", 10**20),
        ("timeout_s", 0),
        ("timeout_s", float("nan")),
        ("slo", ""),
        ("slo", 1),
        ("ttft_ms", 0),
        ("ttft_ms", "soon"),
        ("tpot_ms", -1),
        ("tpot_ms", float("nan")),
        ("request_id", ""),
        ("token_ids", []),
        ("token_ids", ["a"]),
        ("token_ids", [10**20]),
    ],
)
def test_an_impossible_option_is_refused_by_name(name: str, value: object) -> None:
    options: Any = {name: value}
    with pytest.raises(BadInput, match=f"expected {name} to be .*, got"):
        submission("Hi", (), options)


def test_a_misspelt_option_is_not_ignored() -> None:
    options: Any = {"temprature": 1}
    with pytest.raises(BadInput, match="got temprature"):
        submission("Hi", (), options)


def test_a_long_value_is_shown_in_short() -> None:
    options: Any = {"stop": [1] * 1000}
    with pytest.raises(BadInput) as caught:
        submission("Hi", (), options)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(("prompt", "got"), [(None, "neither"), ("Hi", "both")])
def test_it_is_either_a_prompt_or_token_ids(prompt: str | None, got: str) -> None:
    options: Options = {} if prompt is None else {"token_ids": [1]}
    with pytest.raises(BadInput, match=f"expected either a prompt or token_ids, got {got}"):
        submission(prompt, (), options)


def test_token_ids_may_have_images() -> None:
    submit, frames = submission(None, [b"pixels"], {"token_ids": [1, 2]})
    assert (submit.token_ids, submit.turns, frames) == ((1, 2), (), [b"pixels"])


def test_a_promise_travels_with_the_request() -> None:
    asked: Options = {"slo": "interactive", "ttft_ms": 700, "tpot_ms": 30.5}
    submit, _ = submission("Hi", (), asked)
    assert (submit.slo, submit.ttft_ms, submit.tpot_ms) == ("interactive", 700, 30.5)
    unasked: Options = {"slo": None, "ttft_ms": None}
    submit, _ = submission("Hi", (), unasked)
    assert (submit.slo, submit.ttft_ms, submit.tpot_ms) == ("standard", None, None)


def test_the_defaults_are_greedy_and_need_no_seed() -> None:
    assert sampling_of({}) == Sampling()


def test_a_seed_is_drawn_where_tokens_are() -> None:
    one, other = (sampling_of({"temperature": 0.7}).seed for _ in range(2))
    assert one is not None
    assert one != other
    assert sampling_of({"temperature": 0.7, "seed": 0}).seed == 0
