"""Words to bytes and back; what does not decode is refused here and nowhere else.

What the controller says may be several words in one frame: a MessagePack array, made of words that
are encoded already. A message costs either end, and ZeroMQ's thread, more than a word does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec import MsgspecError
from msgspec.msgpack import Decoder, Encoder

from .messages import BetweenPorts, Deltas, ToClient, ToController, ToWorker

Word = TypeVar("Word")

encode = Encoder().encode
_between_ports: Decoder[BetweenPorts] = Decoder(BetweenPorts)
_to_controller: Decoder[ToController] = Decoder(ToController)
_to_worker: Decoder[ToWorker | tuple[ToWorker, ...]] = Decoder(ToWorker | tuple[ToWorker, ...])
_to_client: Decoder[ToClient | tuple[ToClient, ...]] = Decoder(ToClient | tuple[ToClient, ...])
_deltas: Decoder[Deltas] = Decoder(Deltas)


# What msgspec raises for bytes from elsewhere: its own, for text that is not UTF-8, and for arrays
# in arrays in arrays.
ODD = (MsgspecError, UnicodeDecodeError, RecursionError)
MOST_TOLD = 200  # characters
MOST_JOINED = 2**16 - 1  # words: the length that MessagePack writes in two bytes


class BadFrame(Exception):
    """The peer sent bytes that are no word of this protocol."""


def between_ports(frame: bytes) -> BetweenPorts:
    return _decoded(_between_ports, frame)


def to_controller(frame: bytes | memoryview) -> ToController:
    return _decoded(_to_controller, frame)


def to_worker(frame: bytes | memoryview) -> tuple[ToWorker, ...]:
    """One word, or those that were joined."""
    said = _decoded(_to_worker, frame)
    return said if isinstance(said, tuple) else (said,)


def to_client(frame: bytes | memoryview) -> tuple[ToClient, ...]:
    """One word, or those that were joined."""
    said = _decoded(_to_client, frame)
    return said if isinstance(said, tuple) else (said,)


def joined(words: Sequence[bytes]) -> bytes:
    """One frame of from 1 to MOST_JOINED encoded words."""
    count = len(words)
    if count == 1:
        return words[0]
    head = bytes((0x90 | count,)) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
    return b"".join((head, *words))


def deltas(frame: bytes | memoryview) -> Deltas:
    return _decoded(_deltas, frame)


def _decoded(decoder: Decoder[Word], frame: bytes | memoryview) -> Word:
    try:
        return decoder.decode(frame)
    except ODD as error:
        raise BadFrame(_shortened(str(error))) from error


def _shortened(text: str) -> str:
    """msgspec quotes what it did not expect, however long that is."""
    return text if len(text) <= MOST_TOLD else f"{text[:MOST_TOLD]}…"
