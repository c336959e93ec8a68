"""Who works: from a worker's Hello to its last word."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from enum import Enum, auto

from ..scheduler.sharing import niceness, threads
from ..scheduler.stage import Stage, role_of
from ..transport.messages import Beat, Hello, Loading, Ready

RATE_S = 2.0  # that a rate is taken over, at least, once there are beats that far apart


class Standing(Enum):
    LOADING = auto()
    SERVING = auto()
    SWITCHING = auto()  # from the asking until it is ready with its new stages
    LEAVING = auto()


@dataclass(slots=True)
class Switch:
    """To other stages; `drained`: when it had nothing left and was told so."""

    stages: frozenset[Stage]
    since: float
    drained: float | None = None
    asked: list[tuple[bytes, int, frozenset[Stage]]] = field(default_factory=list)  # who, for what


@dataclass(slots=True)
class Member:
    name: str
    identity: bytes
    hello: Hello
    stages: frozenset[Stage]
    joined: float
    heard: float
    threads: int = 1
    beside: bool = False  # as it was told: somebody who yields to it has work
    standing: Standing = Standing.LOADING
    loading: Loading | None = None
    ready: Ready | None = None
    beat: Beat = field(default_factory=Beat)
    before: tuple[float, Beat] | None = None  # when an older beat came, for rates,
    between: tuple[float, Beat] | None = None  # and one after it, which takes its place
    beaten: float = 0.0  # when the last beat came
    waiting: list[tuple[bytes, int]] = field(default_factory=list)  # who asked for its removal
    switch: Switch | None = None

    def beats(self, beat: Beat) -> None:
        """It told how it is, just now. Whoever counts less than before has begun anew."""
        told = self.heard, beat
        if self.before is None or self.between is None or beat.busy_s < self.beat.busy_s:
            self.before = self.between = told
        elif self.heard - self.between[0] > RATE_S:
            self.before, self.between = self.between, told
        self.beaten, self.beat = told

    def rate(self, of: Callable[[Beat], float]) -> float | None:
        """How much of it a second, lately; None before there are two beats."""
        if self.before is None or self.beaten <= self.before[0]:
            return None
        at_s, earlier = self.before
        return (of(self.beat) - of(earlier)) / (self.beaten - at_s)

    @property
    def busy(self) -> float | None:
        """Share of its time."""
        share = self.rate(lambda beat: beat.busy_s)
        return None if share is None else min(1.0, share)


class Crew:
    def __init__(self) -> None:
        self._by_identity: dict[bytes, Member] = {}
        self._by_name: dict[str, Member] = {}
        self._sharing: dict[str, dict[str, Member]] = {}  # by host and name

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def at(self, identity: bytes) -> Member | None:
        return self._by_identity.get(identity)

    def named(self, name: str) -> Member | None:
        return self._by_name.get(name)

    def add(self, member: Member) -> None:
        self._by_identity[member.identity] = self._by_name[member.name] = member
        if not member.hello.threads:
            self._sharing.setdefault(member.hello.host, {})[member.name] = member

    def remove(self, member: Member) -> None:
        self._by_identity.pop(member.identity, None)
        if self._by_name.get(member.name) is member:
            del self._by_name[member.name]
            self._sharing.get(member.hello.host, {}).pop(member.name, None)

    def gpus(self) -> set[int]:
        """Those of the controller's own host that workers have."""
        host = socket.gethostname()
        devices = [member.hello.device for member in self if member.hello.host == host]
        return {int(one.removeprefix("cuda:")) for one in devices if one.startswith("cuda:")}

    def free_name(self, stages: frozenset[Stage], reserved: Set[str]) -> str:
        """`encode-0`, `encode-1` …: the lowest number that is free."""
        role = role_of(stages)
        number = 0
        while f"{role}-{number}" in self._by_name or f"{role}-{number}" in reserved:
            number += 1
        return f"{role}-{number}"

    def sharing(self, host: str) -> list[Member]:
        """Those that named no number of threads: they share what the host has."""
        return list(self._sharing.get(host, {}).values())

    def threads_of(self, member: Member) -> int:
        """Its share of the host's cores."""
        others = [one.stages for one in self.sharing(member.hello.host) if one is not member]
        return threads(member.hello.cores, member.stages, others)

    def yielding_to(self, member: Member) -> Iterator[Member]:
        """Those of its host that yield to it."""
        mine = niceness(member.stages)
        for one in self:
            if one.hello.host == member.hello.host and niceness(one.stages) > mine:
                yield one
