"""What a caller gets back."""

from __future__ import annotations

from msgspec import Struct

from ..transport.messages import Timing, TokenLogprobs, Usage


class Chunk(Struct, frozen=True):
    """What came since the chunk before: a slow reader gets fewer and longer ones."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprobs, ...] = ()  # one per token, where asked for


class Answer(Struct, frozen=True):
    """A whole answer; `usage` and `timing` are None only where it was cut off before an end."""

    request_id: str
    text: str
    token_ids: tuple[int, ...]
    finish_reason: str  # stop, length or cancelled; in a RequestFailed also error
    usage: Usage | None
    timing: Timing | None
    logprobs: tuple[TokenLogprobs, ...] | None = None  # None: not asked for


class Switched(Struct, frozen=True):
    """A worker serves other stages; all zero where it did already."""

    drain_s: float  # from the asking until it had nothing left
    switch_s: float  # from then until it served
    loaded_bytes: int  # of weights: none for stages that its process has had before
