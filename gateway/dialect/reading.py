"""From the bytes of a body to its struct; what does not fit is told in one sentence, with the
path of the field as `param`."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from ..errors import Problem
from . import refused
from .bodies import ChatBody, CompletionBody, TokenizeBody

Asked = TypeVar("Asked", ChatBody, CompletionBody, TokenizeBody)

NOT_THERE: dict[type, dict[str, tuple[Any, ...]]] = {
    ChatBody: refused.OF_CHATS,
    CompletionBody: refused.OF_COMPLETIONS,
    TokenizeBody: {},
}
_PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?", re.DOTALL)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_KINDS = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_OF_VALUES: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
}
VALUES = {  # of fields that have few
    "type": "one of text, image_url",
    "role": "one of system, developer, user, assistant",
    "detail": "auto or high",
}
MOST_SHOWN = 60


def read(body: bytes, kind: type[Asked]) -> Asked:
    """Raises Problem."""
    try:
        said = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Problem(400, f"expected JSON as the body: {why}", code="invalid_json") from error
    if not isinstance(said, dict):
        raise Problem(400, f"expected an object as the body, got {_shown(said)}")
    told = refused.without(said, NOT_THERE[kind], "")
    if isinstance(messages := told.get("messages"), list):
        told = {**told, "messages": [_message(one, i) for i, one in enumerate(messages)]}
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        raise _problem(str(error), told) from error


def _message(said: Any, index: int) -> Any:
    if not isinstance(said, dict):
        return said
    return refused.without(said, refused.OF_MESSAGES, f"messages[{index}].")


def _problem(complaint: str, said: Any) -> Problem:
    found = _PLACE.fullmatch(complaint)
    assert found is not None  # the pattern fits every text
    what, path = found["what"], found["path"] or ""
    if missing := re.fullmatch(r"Object missing required field `(.+)`", what):
        path = f"{path}.{missing[1]}" if path else missing[1]
        return Problem(400, f"expected {path}, got none", code="missing_field", param=path)
    if odd := re.fullmatch(r"Object contains unknown field `(.+)`", what):
        path = f"{path}.{odd[1]}" if path else odd[1]
        sentence = f"expected known fields alone, got {path}"
        return Problem(400, sentence, code="unknown_parameter", param=path)
    sentence = f"expected {path or 'the body'} to be {_expected(what, path)}"
    value = _shown(_value(said, path))
    return Problem(400, f"{sentence}, got {value}", code="invalid_value", param=path or None)


def _expected(what: str, path: str) -> str:
    """msgspec's words for people."""
    if found := re.fullmatch(r"Expected `(.+?)`(?:, got .*| (of length )?([<>]=?) (\S+))?", what):
        kinds = " or ".join(_KINDS.get(one, one) for one in found[1].split(" | "))
        if found[3] is None:
            return kinds
        sign = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}[found[3]]
        return f"{kinds}{' of length' if found[2] else ''} {sign} {found[4].removesuffix('.0')}"
    name = path.rpartition(".")[2]
    if path == "response_format.type":
        return "one of text, json_object, json_schema"
    return VALUES.get(name, "a value that is known")


def _value(said: Any, path: str) -> Any:
    """What stands at a path of msgspec's."""
    for step in _STEP.finditer(path):
        said = said[step[1]] if step[2] is None else said[int(step[2])]
    return said


def _shown(value: Any) -> str:
    """Long texts may be pictures, and are somebody's: a short beginning is enough."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str | int | float) and len(text := repr(value)) <= MOST_SHOWN:
        return text
    if isinstance(value, list) and not value:
        return "an empty list"
    return _OF_VALUES[type(value)]
