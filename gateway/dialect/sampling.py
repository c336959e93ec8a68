"""The options of a request, as the client library names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...client.options import Options
from ..errors import Problem
from .bodies import AnyObject, Body, ChatBody, CompletionBody, OfSchema

SEEDS = 2**63
COMPLETION_TOKENS = 16  # OpenAI's default for a completion that names no length
SAME = (  # fields that are the client's options by the same names
    "temperature",
    "top_p",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "stop_token_ids",
    "ignore_eos",
)
SLO_HEADERS = {"x-slo-ttft-ms": "ttft_ms", "x-slo-tpot-ms": "tpot_ms"}
SLO_CLASS = "x-slo-class"
MOST_MS = 1e9


def options_of(body: ChatBody | CompletionBody, default_max_tokens: int) -> Options:
    """Of the first choice; raises Problem."""
    told: dict[str, Any] = {name: getattr(body, name) for name in SAME}
    told["max_tokens"] = _max_tokens(body, default_max_tokens)
    told["logprobs"] = _logprobs(body)
    told["json_schema"] = _schema(body)
    told["stop"] = _stop(body)
    told["top_k"] = max(0, body.top_k or 0)  # -1 elsewhere means none, as 0 does here
    told["seed"] = None if body.seed is None else body.seed % SEEDS
    if body.temperature is None:
        told["temperature"] = 1.0  # OpenAI's default, where ours is greedy
    options: Any = {name: value for name, value in told.items() if value is not None}
    return options  # type: ignore[no-any-return]


def for_choice(options: Options, index: int) -> Options:
    """Choice 0 is what is got without the others; a seed gives each its own, the same each time."""
    seed = options.get("seed")
    return options if seed is None else {**options, "seed": (seed + index) % SEEDS}


def promised(headers: Mapping[str, str]) -> Options:
    """What the SLO headers ask for; raises Problem."""
    told: dict[str, Any] = {}
    for header, name in SLO_HEADERS.items():
        if (text := headers.get(header)) is not None:
            told[name] = _milliseconds(header, text)
    if (slo := headers.get(SLO_CLASS)) is not None:
        told["slo"] = slo
    options: Any = told
    return options  # type: ignore[no-any-return]


def _max_tokens(body: Body, default: int) -> int:
    if isinstance(body, CompletionBody):
        return COMPLETION_TOKENS if body.max_tokens is None else body.max_tokens
    newer = body.max_completion_tokens if isinstance(body, ChatBody) else None
    said = [one for one in (newer, body.max_tokens) if one is not None]
    return min(said, default=default)


def _logprobs(body: ChatBody | CompletionBody) -> int | None:
    if isinstance(body, CompletionBody):
        return body.logprobs
    if body.logprobs:
        return body.top_logprobs or 0
    if body.top_logprobs:
        sentence = "expected logprobs to be true beside top_logprobs, got false"
        raise Problem(400, sentence, code="invalid_value", param="logprobs")
    return None


def _schema(body: ChatBody | CompletionBody) -> dict[str, Any] | None:
    """What the answer is to follow."""
    match body:
        case ChatBody(response_format=OfSchema(json_schema=named)):
            return named.schema
        case ChatBody(response_format=AnyObject()):
            return {"type": "object"}
    return None


def _stop(body: Body) -> tuple[str, ...]:
    if not body.stop:
        return ()
    return (body.stop,) if isinstance(body.stop, str) else tuple(body.stop)


def _milliseconds(header: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < MOST_MS:
        sentence = f"expected {header} to be milliseconds above 0, got {text[:40]!r}"
        raise Problem(400, sentence, code="invalid_value", param=header)
    return value
