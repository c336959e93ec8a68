"""What the core says, in the imperative. Whoever drives the core carries these out."""

from __future__ import annotations

from dataclasses import dataclass

from .request import Request
from .stage import Stage


@dataclass(frozen=True, slots=True)
class Encode:
    """Encode the image `index` of `request`; store room for it is booked under `key`."""

    replica: str
    key: str
    run: int
    request: str
    index: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop the embedding, ready or not: nobody needs it any more."""

    replica: str
    key: str
    run: int


@dataclass(frozen=True, slots=True)
class Prefill:
    """Prefill `request`; decode it too unless `decode` names another replica."""

    replica: str
    request: str
    run: int
    decode: str


@dataclass(frozen=True, slots=True)
class Decode:
    """Take blocks for `request`, pull its KV from `prefill` as it comes, then decode it."""

    replica: str
    request: str
    run: int
    prefill: str


@dataclass(frozen=True, slots=True)
class Supply:
    """The embedding of image `index` is ready: pull it (the request is bound to `replica`)."""

    replica: str
    request: str
    run: int
    index: int
    key: str


@dataclass(frozen=True, slots=True)
class Release:
    """Free everything of this run of `request`."""

    replica: str
    request: str
    run: int


@dataclass(frozen=True, slots=True)
class Stop:
    """A drained replica has nothing left to do."""

    replica: str


@dataclass(frozen=True, slots=True)
class SwitchStages:
    """A drained replica, which is in no books any more: it comes back with other stages."""

    replica: str
    stages: frozenset[Stage]


@dataclass(frozen=True, slots=True)
class Drop:
    """A replica was lost: close what leads to it and tell its peers."""

    replica: str
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """The request is over, its phase is one of the ends: tell its client. `retry_after_s`: when one
    that was refused might be admitted."""

    request: Request
    reason: str
    retry_after_s: float | None = None


Command = Encode | Forget | Prefill | Decode | Supply | Release | Stop | SwitchStages | Drop | End
