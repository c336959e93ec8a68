"""The life of one image of one request, and of the embedding that requests may share.

    WAITING -> ENCODING -> READY -> PULLED -> GONE

Encoding overlaps the text side, so this is no phase of the request. A lost encode replica sends
an item that nobody has pulled back to WAITING; a request that runs again starts over from
whatever is still there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from .request import InvalidTransition


class ItemPhase(Enum):
    WAITING = auto()  # nobody encodes it yet
    ENCODING = auto()
    READY = auto()  # an encode replica offers it
    PULLED = auto()  # the text replica that the request is bound to holds it
    GONE = auto()  # prefilled or ended: this request needs it no more

    __hash__ = object.__hash__  # as each is one object; Enum's own is written in Python


NEXT: dict[ItemPhase, frozenset[ItemPhase]] = {
    ItemPhase.WAITING: frozenset({ItemPhase.ENCODING, ItemPhase.READY, ItemPhase.GONE}),
    ItemPhase.ENCODING: frozenset({ItemPhase.READY, ItemPhase.WAITING, ItemPhase.GONE}),
    ItemPhase.READY: frozenset({ItemPhase.PULLED, ItemPhase.WAITING, ItemPhase.GONE}),
    ItemPhase.PULLED: frozenset({ItemPhase.READY, ItemPhase.WAITING, ItemPhase.GONE}),
    ItemPhase.GONE: frozenset({ItemPhase.WAITING}),
}


@dataclass(slots=True)
class MediaItem:
    """One image of one request; `key` names its content, and so the embedding that it shares."""

    key: str
    rows: int  # of the embedding
    work: int  # image tokens to encode, what encode replicas are balanced by
    phase: ItemPhase = ItemPhase.WAITING
    story: list[tuple[ItemPhase, float]] = field(default_factory=list)

    def advance(self, phase: ItemPhase, now: float) -> None:
        """Move on; raises InvalidTransition with the whole story for a move that is none."""
        if phase not in NEXT[self.phase]:
            raise InvalidTransition(f"image {self.key}: {phase.name} after {self.story}")
        self.phase = phase
        self.story.append((phase, now))

    def entered(self, phase: ItemPhase) -> float | None:
        """When it last entered `phase`, None if it never did."""
        return next((at for seen, at in reversed(self.story) if seen is phase), None)


@dataclass(slots=True)
class Embedding:
    """What an encode replica makes of one content, once, for all requests that need it now."""

    key: str
    rows: int
    work: int
    bytes: int
    replica: str  # where room is booked for it
    run: int  # which attempt at encoding it counts; answers to older ones are stale
    ready: bool = False
    consumers: set[str] = field(default_factory=set)  # requests that have not prefilled with it
