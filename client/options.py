"""The options of a request, and the check of each: one sentence says what was expected."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, TypedDict

import orjson

from ..transport.complaints import MOST_TOKENS
from ..transport.messages import Sampling
from .errors import BadInput


class Options(TypedDict, total=False):
    """Keywords of `generate` and `stream`; the defaults are greedy."""

    max_tokens: int  # 256
    temperature: float  # 0: greedy
    top_k: int  # 0: off
    top_p: float  # 1: off
    min_p: float  # 0: off
    repetition_penalty: float  # 1: off
    presence_penalty: float
    frequency_penalty: float
    seed: int | None  # None: drawn
    stop: str | Sequence[str]
    stop_token_ids: Sequence[int]
    ignore_eos: bool
    json_schema: Mapping[str, Any] | str | None  # what the answer is to follow
    logprobs: int | None  # so many of the likeliest tokens beside the chosen one
    token_ids: Sequence[int] | None  # in place of a prompt
    timeout_s: float | None  # None: the controller's own limit
    request_id: str | None  # None: drawn
    slo: str | None  # a class of the controller's; None: standard
    ttft_ms: float | None  # None: the class's
    tpot_ms: float | None


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _count(value: Any, least: int = 0) -> bool:
    """What still fits a message."""
    return _whole(value) and least <= value <= MOST_TOKENS


def _number(value: Any) -> bool:
    if _whole(value):
        return bool(abs(value) < 2**53)  # a float has it exactly
    return isinstance(value, float) and isfinite(value)


def _is_json(value: Any) -> bool:
    try:
        orjson.loads(value) if isinstance(value, str) else orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return False
    return True


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "max_tokens": (lambda v: _count(v, 1), f"a whole number from 1 to {MOST_TOKENS}"),
    "temperature": (lambda v: _number(v) and v >= 0, "a number from 0 up"),
    "top_k": (_count, f"a whole number from 0 (off) to {MOST_TOKENS}"),
    "top_p": (lambda v: _number(v) and 0 < v <= 1, "a number above 0, up to 1"),
    "min_p": (lambda v: _number(v) and 0 <= v <= 1, "a number from 0 to 1"),
    "repetition_penalty": (lambda v: _number(v) and v > 0, "a number above 0"),
    "presence_penalty": (_number, "a number"),
    "frequency_penalty": (_number, "a number"),
    "seed": (lambda v: v is None or (_whole(v) and 0 <= v < 2**63), "a number from 0 to 2^63 - 1"),
    "stop": (
        lambda v: isinstance(v, list | tuple) and all(isinstance(s, str) and s for s in v),
        "strings that are not empty",
    ),
    "stop_token_ids": (
        lambda v: isinstance(v, list | tuple) and all(map(_count, v)),
        f"token ids from 0 to {MOST_TOKENS}",
    ),
    "ignore_eos": (lambda v: isinstance(v, bool), "True or False"),
    "json_schema": (
        lambda v: v is None or (isinstance(v, dict | str) and _is_json(v)),
        "a JSON schema: a dict of what JSON has, or its text",
    ),
    "logprobs": (lambda v: v is None or _count(v), "a whole number from 0 up"),
    "timeout_s": (lambda v: v is None or (_number(v) and v > 0), "a number of seconds above 0"),
    "slo": (lambda v: v is None or (isinstance(v, str) and bool(v)), "the name of an SLO class"),
    "ttft_ms": (lambda v: v is None or (_number(v) and v > 0), "a number of ms above 0"),
    "tpot_ms": (lambda v: v is None or (_number(v) and v > 0), "a number of ms above 0"),
    "request_id": (lambda v: v is None or (isinstance(v, str) and bool(v)), "a string"),
    "token_ids": (
        lambda v: v is None or (isinstance(v, list | tuple) and bool(v) and all(map(_count, v))),
        f"token ids from 0 to {MOST_TOKENS}, at least one",
    ),
}


def check(options: Options) -> None:
    """Raise BadInput for the first option that no request can have."""
    for name, value in options.items():
        if name not in _CHECKS:
            raise BadInput(f"expected an option of {', '.join(_CHECKS)}, got {name}")
        fits, expected = _CHECKS[name]
        if name == "stop" and isinstance(value, str):
            value = [value]
        if not fits(value):
            raise BadInput(f"expected {name} to be {expected}, got {_shown(value)}")


def sampling_of(options: Options) -> Sampling:
    """Checked options as they travel.

    A seed is drawn here rather than by the controller: a controller that was restarted and is
    sent the request again then gives the same tokens.
    """
    given: dict[str, Any] = {k: v for k, v in options.items() if k in Sampling.__struct_fields__}
    stop = given.get("stop", ())
    given["stop"] = (stop,) if isinstance(stop, str) else tuple(stop)
    given["stop_token_ids"] = tuple(given.get("stop_token_ids", ()))
    if isinstance(given.get("json_schema"), dict):
        given["json_schema"] = orjson.dumps(given["json_schema"]).decode()
    if given.get("temperature", 0) > 0 and given.get("seed") is None:
        given["seed"] = secrets.randbits(63)
    return Sampling(**given)


def promise_of(options: Options) -> dict[str, Any]:
    """What of checked options a Submit is to promise; what is not given stays the default."""
    given: dict[str, Any] = {name: options.get(name) for name in ("slo", "ttft_ms", "tpot_ms")}
    return {name: value for name, value in given.items() if value is not None}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
