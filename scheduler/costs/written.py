"""Profiles as text: JSON that says its format, read back with every field checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from math import isclose
from typing import Any, TypeVar

from .encode import EncodeCost, PreprocessCost
from .profile import (
    BadProfile,
    BatchWork,
    Component,
    Cost,
    HeldOutError,
    Machine,
    PictureWork,
    Point,
    Profile,
    Work,
)
from .text import TextCost, TextWork

FORMAT = 1
HEADING = "modserve_profiles"

T = TypeVar("T")
COSTS: dict[Component, type[Cost]] = {
    Component.PREPROCESS: PreprocessCost,
    Component.ENCODE: EncodeCost,
    Component.TEXT: TextCost,
}
WORKS: dict[Component, type[Work]] = {
    Component.PREPROCESS: PictureWork,
    Component.ENCODE: BatchWork,
    Component.TEXT: TextWork,
}
LEAST = {  # of numbers that are divided by, or that make no sense below
    "overlap": 1,
    **dict.fromkeys(("tp", "threads", "cores", "pixels", "images", "image_tokens"), 1),
}
ABOVE_ZERO = ("seconds", "token_s")
MOST = 1e15  # a number beyond it was never measured


def write(profiles: Sequence[Profile]) -> str:
    """One point is one line, so that two files can be compared by eye."""
    bodies = ",\n".join(_written(profile) for profile in profiles)
    return f'{{"{HEADING}": {FORMAT}, "profiles": [\n{bodies}\n]}}\n'


def read(text: str | bytes) -> list[Profile]:
    """Raises BadProfile, in one sentence, for anything but what `write` wrote."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadProfile(f"expected JSON, got {error}") from error
    if not isinstance(whole, dict) or HEADING not in whole:
        raise BadProfile(f"expected an object with {HEADING}, got {_shown(whole)}")
    if whole[HEADING] != FORMAT or isinstance(whole[HEADING], bool):
        raise BadProfile(f"expected format {FORMAT}, got {_shown(whole[HEADING])}")
    body = _exactly({HEADING, "profiles"}, whole, "the file")["profiles"]
    return [_profile(one, f"profile {at}") for at, one in enumerate(_list(body, "profiles"))]


def _written(profile: Profile) -> str:
    body = asdict(profile) | {"error": None if profile.error is None else asdict(profile.error)}
    points = ",\n   ".join(json.dumps(point) for point in body.pop("points"))
    lines = ",\n  ".join(f'"{name}": {json.dumps(value)}' for name, value in body.items())
    return f'{{\n  {lines},\n  "points": [\n   {points}\n  ]}}'


def _profile(body: object, where: str) -> Profile:
    names = {field.name for field in fields(Profile)} | {"error"}
    found = _exactly(names, body, where)
    try:
        component = Component(found["component"])
    except ValueError:
        known = ", ".join(Component)
        got = _shown(found["component"])
        raise BadProfile(f"expected a component of {known} in {where}, got {got}") from None
    points = _list(found["points"], f"points of {where}")
    profile = Profile(
        component=component,
        model=_word(found["model"], f"model of {where}"),
        fingerprint=_word(found["fingerprint"], f"fingerprint of {where}"),
        device=_word(found["device"], f"device of {where}"),
        machine=_record(Machine, found["machine"], f"machine of {where}"),
        tp=_whole(found["tp"], f"tp of {where}"),
        dtype=_word(found["dtype"], f"dtype of {where}"),
        threads=_whole(found["threads"], f"threads of {where}"),
        cost=_record(COSTS[component], found["cost"], f"cost of {where}"),
        points=tuple(
            _point(WORKS[component], one, f"point {at} of {where}") for at, one in enumerate(points)
        ),
    )
    _check_error(profile, found["error"], where)
    return profile


def _point(work: type[Work], body: object, where: str) -> Point:
    found = _exactly({field.name for field in fields(Point)}, body, where)
    return Point(
        work=_record(work, found["work"], f"work of {where}"),
        seconds=_number(found["seconds"], f"seconds of {where}"),
        held_out=_flag(found["held_out"], f"held_out of {where}"),
    )


def _check_error(profile: Profile, body: object, where: str) -> None:
    """It follows from the points; a file in which it does not was changed."""
    try:
        own = profile.error
    except ArithmeticError as error:
        raise BadProfile(f"expected a cost that can be computed in {where}, got {error}") from error
    if own is None and body is None:
        return
    told = _record(HeldOutError, body, f"error of {where}")
    if own is None or not isclose(own.median, told.median) or not isclose(own.worst, told.worst):
        raise BadProfile(f"expected the error of {where} that its points say, {own}, got {told}")


def _record(kind: type[T], body: object, where: str) -> T:
    """A dataclass of numbers and words, each of its annotated type."""
    parts: Any = fields(kind)  # type: ignore[arg-type]
    found = _exactly({part.name for part in parts}, body, where)
    read = {part.name: READ[part.type] for part in parts}
    return kind(**{name: take(found[name], f"{name} of {where}") for name, take in read.items()})


def _exactly(names: set[str], body: object, where: str) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise BadProfile(f"expected an object for {where}, got {_shown(body)}")
    if missing := sorted(names - body.keys()):
        raise BadProfile(f"expected {', '.join(missing)} in {where}, got none")
    if unknown := sorted(body.keys() - names):
        raise BadProfile(f"expected {', '.join(sorted(names))} in {where}, got {unknown[0]} too")
    return body


def _list(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise BadProfile(f"expected a list of {where}, got {_shown(value)}")
    return value


def _word(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise BadProfile(f"expected text for {where}, got {_shown(value)}")
    return value


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise BadProfile(f"expected true or false for {where}, got {_shown(value)}")
    return value


def _whole(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadProfile(f"expected a whole number for {where}, got {_shown(value)}")
    _number(value, where)
    return value


def _number(value: object, where: str) -> float:
    name = where.partition(" ")[0]
    least, above_zero = LEAST.get(name, 0), name in ABOVE_ZERO
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and least <= value <= MOST
        and (value or not above_zero)
    ):
        return value
    wanted = "above 0" if above_zero else f"from {least} up"
    raise BadProfile(f"expected a number {wanted} for {where}, got {_shown(value)}")


def _chunks(value: object, where: str) -> tuple[tuple[int, int], ...]:
    chunks = []
    for one in _list(value, where):
        if not isinstance(one, list) or len(one) != 2:
            raise BadProfile(f"expected pairs for {where}, got {_shown(one)}")
        chunks.append((_whole(one[0], where), _whole(one[1], where)))
    return tuple(chunks)


def _shown(value: object) -> str:
    return shown if len(shown := repr(value)) <= 60 else f"{shown[:57]}..."


READ: dict[str, Callable[[object, str], Any]] = {
    "int": _whole,
    "float": _number,
    "str": _word,
    "Sequence[tuple[int, int]]": _chunks,
}
