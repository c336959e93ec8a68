"""From a table of a TOML file to a struct; what does not fit is one sentence with its key."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any, TypeVar

import msgspec

from ..naming import MOST_SHOWN, unknown
from .tables import Table

AT = re.compile(r"(?P<what>.*?)(?:, got .*)? - at `\$\.(?P<key>\w+)(\[[.\d]+\])?`")
KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    ">=": "from",
    ">": "above",
    "<=": "up to",
}

T = TypeVar("T", bound=Table)


class BadConfig(ValueError):
    """One sentence: where, what was expected, what came."""


def converted(table: dict[str, Any], into: type[T], path: str) -> T:
    """`path`: the keys that lead to the table. Raises BadConfig."""
    for key, value in table.items():
        if key not in into.__struct_fields__:
            raise BadConfig(f"{path}: {unknown('a key', key, into.__struct_fields__)}")
        if isinstance(value, float) and not isfinite(value):
            raise BadConfig(f"{path}.{key}: expected a finite number, got {value}")
    try:
        return msgspec.convert(table, into)
    except msgspec.ValidationError as error:
        raise BadConfig(_sentence(str(error), table, path)) from error


def table_of(tables: dict[str, Any], name: str, path: str = "") -> dict[str, Any]:
    """Nothing where there is none; raises BadConfig for a value in its place."""
    found = tables.get(name, {})
    if not isinstance(found, dict):
        raise BadConfig(f"{path}{name}: expected a table, got {shown(found)}")
    return found


def shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _sentence(error: str, table: dict[str, Any], path: str) -> str:
    """msgspec's words are about types; the value is looked up."""
    found = AT.fullmatch(error)
    if found is None:
        return f"{path}: {error}"
    words = found["what"].replace("`", "").replace(" | null", "").split()
    expected = " ".join(KINDS.get(word, word.removesuffix(".0")) for word in words)
    expected += " up" * (">=" in words)
    key = found["key"]
    return f"{path}.{key}: {expected[0].lower()}{expected[1:]}, got {shown(table[key])}"
