"""Fields that OpenAI has and this server has not. Each may be said with a value that asks for
nothing, as some clients do by default; any other value is refused by the field's name."""

from __future__ import annotations

from typing import Any

from ..errors import Problem

NOTHING: tuple[Any, ...] = (None,)
OF_BOTH: dict[str, tuple[Any, ...]] = {
    "logit_bias": (None, {}),
    "metadata": (None, {}),
    "store": (None, False),
    "service_tier": (None, "auto", "default"),
    "safety_identifier": NOTHING,
    "prompt_cache_key": NOTHING,
}
OF_CHATS: dict[str, tuple[Any, ...]] = {
    **OF_BOTH,
    "audio": NOTHING,
    "function_call": (None, "none"),
    "functions": (None, []),
    "modalities": (None, ["text"]),
    "parallel_tool_calls": NOTHING,
    "prediction": NOTHING,
    "reasoning_effort": NOTHING,
    "tool_choice": (None, "none"),
    "tools": (None, []),
    "verbosity": NOTHING,
    "web_search_options": NOTHING,
}
OF_COMPLETIONS: dict[str, tuple[Any, ...]] = {
    **OF_BOTH,
    "best_of": (None, 1),
    "echo": (None, False),
    "suffix": NOTHING,
}
OF_MESSAGES: dict[str, tuple[Any, ...]] = {  # an assistant's earlier answer comes back with these
    "annotations": (None, []),
    "audio": NOTHING,
    "function_call": NOTHING,
    "name": NOTHING,
    "refusal": NOTHING,
    "tool_calls": (None, []),
}


def without(said: dict[str, Any], fields: dict[str, tuple[Any, ...]], path: str) -> dict[str, Any]:
    """What is left of an object; raises Problem for a field that asks for what is not there.

    `path`: of the object, with a dot behind it, or "".
    """
    unsupported = fields.keys() & said.keys()
    for name in sorted(unsupported):
        if not any(_same(said[name], nothing) for nothing in fields[name]):
            raise Problem(
                400,
                f"expected a request without {path}{name}: it is not supported here",
                code="unsupported_parameter",
                param=path + name,
            )
    return {name: said[name] for name in said if name not in unsupported} if unsupported else said


def _same(value: Any, nothing: Any) -> bool:
    return type(value) is type(nothing) and bool(value == nothing)
