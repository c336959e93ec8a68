"""The embedding store of an encode worker: of each image, the run that counts and what it has made.

Real and emulated workers keep the same; what it costs to give an image up is their own.
"""

from __future__ import annotations

from collections.abc import Callable

from ..transport import messages as say

Drop = Callable[[str, int, say.TensorHandle | None], None]


class EmbeddingStore:
    """`drop(key, run, handle)` gives up what an image has; None: it is not encoded yet."""

    def __init__(self, drop: Drop) -> None:
        self._drop = drop
        self._images: dict[str, tuple[int, say.TensorHandle | None]] = {}

    @property
    def bytes(self) -> int:
        handles = (handle for _, handle in self._images.values() if handle is not None)
        return sum(part.bytes for handle in handles for part in handle.parts)

    def wanted(self, key: str, run: int) -> bool:
        return self._images.get(key, (None,))[0] == run

    def begin(self, key: str, run: int) -> bool:
        """Whether it did; False where the word came twice. An earlier run is given up."""
        if self.wanted(key, run):
            return False
        if key in self._images:
            self.forget(say.Forget(key, self._images[key][0]))
        self._images[key] = (run, None)
        return True

    def keep(self, key: str, run: int, handle: say.TensorHandle) -> None:
        self._images[key] = (run, handle)

    def fail(self, key: str) -> None:
        """There is nothing of it to give up."""
        del self._images[key]

    def forget(self, word: say.Forget) -> None:
        if self.wanted(word.key, word.run):
            _, handle = self._images.pop(word.key)
            self._drop(word.key, word.run, handle)

    def stored(self) -> tuple[say.Stored, ...]:
        """What a controller that never heard of it can go on with; everything else ends."""
        for key, (run, handle) in list(self._images.items()):
            if handle is None:
                self.forget(say.Forget(key, run))
        return tuple(
            say.Stored(key, run, handle)
            for key, (run, handle) in self._images.items()
            if handle is not None
        )

    def clear(self) -> None:
        for key, (run, _) in list(self._images.items()):
            self.forget(say.Forget(key, run))
