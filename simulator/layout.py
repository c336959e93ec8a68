"""Which workers a cluster is made of, in a few characters, and how GPUs are divided among them.

encode=48@1,text=20@4      48 encode workers of one GPU, 20 text workers of four
all=32@4/1                 32 workers of everything, the tower on one of their four GPUs
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..scheduler.stage import Stage, role_of, stages_of

WRITTEN = re.compile(r"([a-z+]+)=([1-9]\d*)@([1-9]\d*)(?:/([1-9]\d*))?")


class BadLayout(ValueError):
    """One sentence."""


@dataclass(frozen=True, slots=True)
class Part:
    stages: frozenset[Stage]
    count: int
    tp: int  # GPUs of each
    encode_tp: int | None = None  # of its tower; None: all of them

    @property
    def gpus(self) -> int:
        return self.count * self.tp

    def __str__(self) -> str:
        tower = "" if self.encode_tp is None else f"/{self.encode_tp}"
        return f"{role_of(self.stages)}={self.count}@{self.tp}{tower}"


Layout = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a layout for any number of GPUs: what it gets, and in which portions."""

    role: str
    share: float
    tp: int
    encode_tp: int | None = None

    def part(self, gpus: int) -> Part:
        return Part(stages_of(self.role.split("+")), gpus // self.tp, self.tp, self.encode_tp)


def divide(gpus: int, shares: Sequence[Share]) -> Layout:
    """Each part but the last gets the nearest number of workers to its share, one at least, and the
    last one all that is left; GPUs too few for another worker stay idle. Raises BadLayout."""
    least = sum(one.tp for one in shares)
    if gpus < least:
        parts = " and ".join(f"{one.role} on {one.tp}" for one in shares)
        raise BadLayout(f"expected at least {least} GPUs for {parts}, got {gpus}")
    whole, left, parts_made = gpus, gpus, []
    for place, one in enumerate(shares[:-1]):
        behind = sum(other.tp for other in shares[place + 1 :])
        count = max(1, round(one.share * whole / one.tp))
        part = one.part(min(count, (left - behind) // one.tp) * one.tp)
        parts_made.append(part)
        left -= part.gpus
    return (*parts_made, shares[-1].part(left))


def read_layout(text: str) -> Layout:
    """Raises BadLayout."""
    parts = tuple(_part(written) for written in text.split(","))
    if len({part.stages for part in parts}) < len(parts):
        raise BadLayout(f"expected each role once, got {text}")
    return parts


def gpus_of(layout: Iterable[Part]) -> int:
    return sum(part.gpus for part in layout)


def write_layout(layout: Iterable[Part]) -> str:
    return ",".join(map(str, layout))


def _part(text: str) -> Part:
    found = WRITTEN.fullmatch(text)
    if found is None:
        raise BadLayout(f"expected a layout like encode=48@1,text=20@4 or all=32@4, got {text}")
    try:
        stages = stages_of(found[1].split("+"))
    except ValueError as error:
        raise BadLayout(str(error)) from error
    tp, tower = int(found[3]), None if found[4] is None else int(found[4])
    if tower is not None and (tower > tp or Stage.ENCODE not in stages):
        raise BadLayout(f"expected a tower on some of its worker's {tp} GPUs, got {text}")
    return Part(stages, int(found[2]), tp, tower)
