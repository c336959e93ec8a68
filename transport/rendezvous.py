"""Where the two ends of a link leave the values by which their process group finds itself.

A `torch.distributed.Store` of two: what one end sets is told to the other as a word on the
control channel. No TCPStore: it would listen on every interface without authentication, bring
torch into the controller, and not survive a restart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Condition

from torch.distributed.distributed_c10d import Store


class RendezvousFailed(RuntimeError):
    """The other end said nothing in time, or the link was dropped meanwhile."""


class ControlStore(Store):
    """Made and fed on the loop's thread, read by torch on the link's thread.

    `say` tells the other end and may be called from any thread.
    """

    def __init__(self, say: Callable[[str, bytes], None], patience_s: float) -> None:
        super().__init__()
        self._say = say
        self._patience_s = patience_s
        self._values: dict[str, bytes] = {}
        self._changed = Condition()
        self._dropped = ""

    def hear(self, key: str, value: bytes) -> None:
        """The other end has set this."""
        with self._changed:
            self._values[key] = value
            self._changed.notify_all()

    def drop(self, reason: str) -> None:
        """Whoever waits here stops at once."""
        with self._changed:
            self._dropped = reason
            self._changed.notify_all()

    def clear(self) -> None:
        """The pair is up: nobody will ask again."""
        with self._changed:
            self._values.clear()

    # What torch calls; its stubs say str where bytes come and go.

    def set(self, key: str, value: str | bytes) -> None:
        said = value.encode() if isinstance(value, str) else bytes(value)
        self.hear(key, said)
        self._say(key, said)

    def get(self, key: str) -> bytes:
        self._await([key], self._patience_s)
        with self._changed:
            return self._values[key]

    def wait(self, keys: list[str], timeout: timedelta | None = None) -> None:
        patience_s = self._patience_s if timeout is None else timeout.total_seconds()
        self._await(keys, min(patience_s, self._patience_s))

    def check(self, keys: list[str]) -> bool:
        with self._changed:
            return self._values.keys() >= set(keys)

    def add(self, key: str, value: int) -> int:
        """Counts this end's own calls only; neither gloo nor NCCL adds up both ends' here."""
        with self._changed:
            total = int(self._values.get(key, b"0")) + value
            self._values[key] = str(total).encode()
            return total

    def delete_key(self, key: str) -> bool:
        with self._changed:
            return self._values.pop(key, None) is not None

    def _await(self, keys: list[str], patience_s: float) -> None:
        until = time.monotonic() + patience_s
        with self._changed:
            while missing := [key for key in keys if key not in self._values]:
                if self._dropped:
                    raise RendezvousFailed(self._dropped)
                left = until - time.monotonic()
                if left <= 0:
                    raise RendezvousFailed(f"expected {missing} within {patience_s} s, got none")
                self._changed.wait(left)
