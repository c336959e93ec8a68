"""Words to bytes and back; what does not decode is refused here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import MsgspecError
from msgspec.msgpack import Decoder, Encoder

from .messages import BetweenPorts, Deltas, ToClient, ToController, ToWorker

encode = Encoder().encode
_between_ports: Decoder[BetweenPorts] = Decoder(BetweenPorts)
_to_controller: Decoder[ToController] = Decoder(ToController)
_to_worker: Decoder[ToWorker] = Decoder(ToWorker)
_to_client: Decoder[ToClient] = Decoder(ToClient)
_deltas: Decoder[Deltas] = Decoder(Deltas)


# What msgspec raises for bytes from elsewhere: its own, for text that is not UTF-8, and for arrays
# in arrays in arrays.
ODD = (MsgspecError, UnicodeDecodeError, RecursionError)
MOST_TOLD = 200  # characters


class BadFrame(Exception):
    """The peer sent bytes that are no word of this protocol."""


def between_ports(frame: bytes) -> BetweenPorts:
    with _refusing():
        return _between_ports.decode(frame)


def to_controller(frame: bytes | memoryview) -> ToController:
    with _refusing():
        return _to_controller.decode(frame)


def to_worker(frame: bytes | memoryview) -> ToWorker:
    with _refusing():
        return _to_worker.decode(frame)


def to_client(frame: bytes | memoryview) -> ToClient:
    with _refusing():
        return _to_client.decode(frame)


def deltas(frame: bytes | memoryview) -> Deltas:
    with _refusing():
        return _deltas.decode(frame)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except ODD as error:
        raise BadFrame(_shortened(str(error))) from error


def _shortened(text: str) -> str:
    """msgspec quotes what it did not expect, however long that is."""
    return text if len(text) <= MOST_TOLD else f"{text[:MOST_TOLD]}…"
