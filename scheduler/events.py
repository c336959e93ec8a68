"""What the core hears, in the past tense. `run` names the attempt that a word is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .replica import Speed
from .request import Request
from .stage import Stage


@dataclass(frozen=True, slots=True)
class Hold:
    """A request that a replica decodes already, since the core before this one said so."""

    request: Request  # `emitted` as the replica has it
    run: int
    over: bool = False  # it has ended there and holds nothing: `Finished` follows


@dataclass(frozen=True, slots=True)
class Store:
    """An embedding that a replica has, since the core before this one had it made."""

    key: str
    rows: int
    run: int


@dataclass(frozen=True, slots=True)
class Joined:
    """A worker is loaded and warm; its room is what it measured or was told. `arrivals` come with
    it: requests that need what it stores."""

    replica: str
    epoch: int
    stages: frozenset[Stage]
    kv_blocks: int
    store_bytes: int
    staging_bytes: int
    holds: tuple[Hold, ...] = ()
    stores: tuple[Store, ...] = ()
    arrivals: tuple[Request, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """A heartbeat, or any other word, of a replica; `speed`: what it measured, if it says so."""

    replica: str
    speed: Speed | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    replica: str
    reason: str = "its connection broke"


@dataclass(frozen=True, slots=True)
class DrainAsked:
    replica: str


@dataclass(frozen=True, slots=True)
class SwitchAsked:
    """Once drained it serves these stages: the last ones asked for count, and its own ones call the
    switch off. One that was asked to leave leaves."""

    replica: str
    stages: frozenset[Stage]


@dataclass(frozen=True, slots=True)
class Arrived:
    """`accepted`: it was admitted before, by a core that is no more. `waited_s`: what it took from
    its Submit until now."""

    request: Request
    accepted: bool = False
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Encoded:
    key: str
    replica: str
    run: int


@dataclass(frozen=True, slots=True)
class EncodeFailed:
    """`fault` says whose: the picture's (its requests fail) or the worker's (try again)."""

    key: str
    replica: str
    run: int
    reason: str
    fault: bool


@dataclass(frozen=True, slots=True)
class Pulled:
    request: str
    replica: str
    run: int
    index: int


@dataclass(frozen=True, slots=True)
class PullFailed:
    """`gone`: the owner does not have the embedding any more; otherwise the link broke."""

    request: str
    replica: str
    run: int
    index: int
    gone: bool


@dataclass(frozen=True, slots=True)
class Prefilled:
    """The whole prompt is computed and the next token emitted, `emitted` in all."""

    request: str
    replica: str
    run: int
    emitted: int


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The decode replica holds the whole KV and goes on by itself."""

    request: str
    replica: str
    run: int


@dataclass(frozen=True, slots=True)
class Progressed:
    request: str
    replica: str
    run: int
    emitted: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """One step of a replica: what Progressed says, of many requests at once."""

    replica: str
    progress: Sequence[tuple[str, int, int]]  # request, run, emitted


@dataclass(frozen=True, slots=True)
class Finished:
    request: str
    replica: str
    run: int
    emitted: int
    reason: str  # "stop" or "length"


@dataclass(frozen=True, slots=True)
class Preempted:
    """A replica ran out of blocks and gave up everything of its youngest request."""

    request: str
    replica: str
    run: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A replica could not go on with a request; `fault` as in EncodeFailed."""

    request: str
    replica: str
    run: int
    reason: str
    fault: bool


@dataclass(frozen=True, slots=True)
class Cancelled:
    request: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time went by: deadlines, late and lost replicas are looked at."""


Event = (
    Joined
    | Heard
    | Lost
    | DrainAsked
    | SwitchAsked
    | Arrived
    | Encoded
    | EncodeFailed
    | Pulled
    | PullFailed
    | Prefilled
    | HandedOver
    | Progressed
    | Stepped
    | Finished
    | Preempted
    | Failed
    | Cancelled
    | Ticked
)
