"""What workers are told leaves with the loop's next turn, all of it for one in one message.

ZeroMQ's thread goes to sleep as soon as it has nothing to send. To wake it costs ten times what it
costs to send while it is awake, so what is said one after another should leave one after another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..transport import codec
from ..transport.channels import Router, Sent

MOST = 1000  # words of a message

Letter = tuple[bytes, Sequence[Any]]  # an encoded word, and the frames behind it


class Mail:
    def __init__(self, router: Router, lost: Callable[[bytes, Sent], None]) -> None:
        """`lost` is told who cannot be reached, and why not."""
        self._router, self._lost = router, lost
        self._loop = asyncio.get_running_loop()
        self._due: dict[bytes, list[Letter]] = {}  # by identity
        self._kept: dict[bytes, list[Letter]] = {}  # for who has nothing due

    def post(self, identity: bytes, word: bytes, frames: Sequence[Any] = ()) -> None:
        if not self._due:
            self._loop.call_soon(self.flush)
        letters = self._due.get(identity)
        if letters is None:
            letters = self._due[identity] = self._kept.pop(identity, [])
        letters.append((word, frames))

    def enclose(self, identity: bytes, word: bytes) -> None:
        """It goes along with what is said next, a ping at the latest."""
        letters = self._due.get(identity)
        if letters is None:
            letters = self._kept.setdefault(identity, [])
        letters.append((word, ()))

    def forget(self, identity: bytes) -> None:
        """Who is gone gets nothing any more but what is due."""
        self._kept.pop(identity, None)

    def flush(self) -> None:
        """Say now what is due."""
        due, self._due = self._due, {}
        for identity, letters in due.items():
            for message in _messages(letters):
                sent = self._router.send(identity, *message)
                if sent is not Sent.OK:
                    self._lost(identity, sent)
                    break


def _messages(letters: Sequence[Letter]) -> Iterator[Sequence[Any]]:
    """In order: words that have frames alone, the others joined."""
    words: list[bytes] = []
    for word, frames in letters:
        if words and (frames or len(words) == MOST):
            yield (codec.joined(words),)
            words = []
        if frames:
            yield (word, *frames)
        else:
            words.append(word)
    if words:
        yield (codec.joined(words),)
