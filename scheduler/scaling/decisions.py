"""What a scaling policy decides. The reason is one sentence with the numbers that led to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .limits import Limits
from .loads import PoolLoad


@dataclass(frozen=True, slots=True)
class Grow:
    """Launch so many replicas more."""

    pool: str
    replicas: int
    reason: str


@dataclass(frozen=True, slots=True)
class Shrink:
    """Drain so many serving replicas, then stop them."""

    pool: str
    replicas: int
    reason: str


@dataclass(frozen=True, slots=True)
class Switch:
    """Drain so many serving replicas of `source`; they come back with the stages of `target`."""

    source: str
    target: str
    replicas: int
    reason: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """Give up so many launches that are overdue, the oldest first. They count for the limits and
    the budget until they are gone from `PoolLoad.starting`."""

    pool: str
    replicas: int
    reason: str


Decision = Grow | Shrink | Switch | Abandon


class Policy(Protocol):
    def decide(self, pools: Sequence[PoolLoad], limits: Limits, now: float) -> list[Decision]:
        """To be carried out in their order. Called every second or so; a policy with a longer
        period answers with nothing in between."""
        ...
