"""All that a frame is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...scheduler.stage import Stage, role_of
from ...transport.messages import Event
from .history import Key, Latency

DECISIONS = frozenset({"scaling", "scale", "advice", "launch-failed", "given-up", "lost"})


@dataclass(frozen=True, slots=True)
class Seen:
    """`report` is that of `msctl status --json`."""

    report: Mapping[str, Any]
    latencies: Mapping[Key, Latency]
    decisions: Sequence[Event] = ()  # the last one last
    clock: str = ""  # when it was
    trouble: str = ""  # why it is old

    @property
    def workers(self) -> Sequence[Mapping[str, Any]]:
        workers: Sequence[Mapping[str, Any]] = self.report["workers"]
        return workers


def role(worker: Mapping[str, Any]) -> str:
    return role_of(frozenset(Stage(stage) for stage in worker["stages"]))


def sees(worker: Mapping[str, Any]) -> bool:
    return "encode" in worker["stages"]


def reads(worker: Mapping[str, Any]) -> bool:
    return "prefill" in worker["stages"] or "decode" in worker["stages"]


@dataclass(slots=True)
class Decisions:
    """The last events that decide something about workers, or that something is decided after."""

    most: int = 50
    newest: int = 0
    kept: list[Event] = field(default_factory=list)

    def add(self, events: Sequence[Event]) -> None:
        if events:
            self.newest = events[-1].number
        self.kept = [*self.kept, *(one for one in events if one.kind in DECISIONS)][-self.most :]
