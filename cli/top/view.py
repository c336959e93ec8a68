"""What somebody looks at, and what a key does to it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ...scheduler.stage import ROLES
from .keys import Key
from .seen import role


class Sort(StrEnum):
    STAGE = "stage"
    BUSY = "busy"
    QUEUE = "queue"
    MEMORY = "memory"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class View:
    sort: Sort = Sort.STAGE
    paused: bool = False
    selected: str = ""  # a worker's name
    asking: str = ""  # whether this worker is to be drained
    notice: str = ""  # what became of the last order


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave."""


@dataclass(frozen=True, slots=True)
class Drain:
    name: str


Order = Quit | Drain


def sorted_by(sort: Sort, workers: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The fullest first; by stage in the order that a request takes them."""
    ranks = {name: rank for rank, name in enumerate(ROLES)}

    def weight(worker: Mapping[str, Any]) -> float:
        match sort:
            case Sort.STAGE:
                return ranks.get(role(worker), len(ranks))
            case Sort.BUSY:
                return -float(worker["busy"])
            case Sort.QUEUE:
                return -float(worker["pending_tokens"] + worker["pending_image_tokens"])
            case Sort.MEMORY:
                return -float(worker["resident_bytes"])
            case Sort.NAME:
                return 0.0

    return sorted(workers, key=lambda one: (weight(one), _counted(one["name"])))


def _counted(name: str) -> list[tuple[bool, int, str]]:
    """`text-9` before `text-10`."""
    parts = re.split(r"(\d+)", name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def pressed(view: View, key: Key, names: Sequence[str]) -> tuple[View, Order | None]:
    """`names`: of the workers, in the order that they are shown in."""
    if view.asking:
        return _answered(view, key)
    view = replace(view, notice="")
    match key:
        case Key.QUIT:
            return view, Quit()
        case Key.SORT:
            order = list(Sort)
            return replace(view, sort=order[(order.index(view.sort) + 1) % len(order)]), None
        case Key.PAUSE:
            return replace(view, paused=not view.paused), None
        case Key.UP | Key.DOWN:
            return replace(view, selected=_beside(view.selected, key, names)), None
        case Key.DRAIN if view.selected in names:
            return replace(view, asking=view.selected), None
        case Key.DRAIN:
            return replace(view, notice="select a worker first, with the arrows or j and k"), None
    return view, None


def _answered(view: View, key: Key) -> tuple[View, Order | None]:
    """Only a yes is one."""
    name, view = view.asking, replace(view, asking="")
    if key is Key.YES:
        return replace(view, notice=f"{name} drains: it gets no new work"), Drain(name)
    return replace(view, notice=f"{name} was not drained"), None


def _beside(selected: str, key: Key, names: Sequence[str]) -> str:
    """Past the last one nobody is selected, and the next is the first at that end."""
    if selected not in names:
        at = 0 if key is Key.DOWN else len(names) - 1
    else:
        at = names.index(selected) + (1 if key is Key.DOWN else -1)
    return names[at] if 0 <= at < len(names) else ""
