"""The part that asks: the ZeroMQ client library. No torch.

The one folder that re-exports: `from modserve.client import Client` is what users type.
"""

from .answers import Answer, Chunk, Switched
from .asynchronous import AsyncClient, AsyncStream
from .blocking import Client, Stream
from .errors import (
    AnswerBroken,
    BadInput,
    ClientClosed,
    ControllerUnreachable,
    DeadlinePassed,
    Denied,
    Misunderstood,
    ModserveError,
    Refused,
    RequestFailed,
)

__all__ = [
    "Answer",
    "AnswerBroken",
    "AsyncClient",
    "AsyncStream",
    "BadInput",
    "Chunk",
    "Client",
    "ClientClosed",
    "ControllerUnreachable",
    "DeadlinePassed",
    "Denied",
    "Misunderstood",
    "ModserveError",
    "Refused",
    "RequestFailed",
    "Stream",
    "Switched",
]
