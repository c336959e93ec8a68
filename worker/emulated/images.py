"""The images of an emulated encode worker: from the file that came to an embedding on offer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import zmq

from ...scheduler.computing.encoding import Task
from ...scheduler.costs.encode import PreprocessCost
from ...transport import messages as say
from ...transport.pictures import BadImage, measure
from .engine import Engine
from .sizes import Sizes, bytes_of
from .waiting import Lane

LANES = 2  # threads that prepare pictures, in a real worker


class Images:
    def __init__(
        self, send: Callable[..., Any], engine: Engine, sizes: Sizes, cost: PreprocessCost | None
    ) -> None:
        self._send, self._engine, self._sizes, self._cost = send, engine, sizes, cost
        self._lanes = [Lane(asyncio.get_running_loop()) for _ in range(LANES)]
        self._images: dict[str, tuple[int, say.TensorHandle | None]] = {}

    @property
    def stored_bytes(self) -> int:
        return sum(bytes_of(handle) for _, handle in self._images.values() if handle is not None)

    def encode(self, word: say.Encode, frames: Sequence[zmq.Frame]) -> None:
        if len(frames) != 1 or self._engine.encode is None:
            reason = f"expected one image file and an encode stage, got {len(frames)} files"
            self._send(say.EncodeError(word.key, word.run, reason, fault=False))
            return
        if self._wanted(word.key, word.run):
            return  # the word came twice
        if word.key in self._images:
            self.forget(say.Forget(word.key, self._images[word.key][0]))
        try:
            seconds = self._preprocess_s(frames[0])
        except BadImage as error:
            self._send(say.EncodeError(word.key, word.run, str(error), fault=True))
            return
        self._images[word.key] = (word.run, None)
        lane = min(self._lanes, key=lambda one: one.free_at)
        lane.take(seconds, partial(self._preprocessed, word))

    def _preprocess_s(self, frame: zmq.Frame) -> float:
        if self._cost is None:
            return 0.0
        picture = measure(memoryview(frame.buffer))
        return self._cost.seconds(picture.width * picture.height)

    def _preprocessed(self, word: say.Encode) -> None:
        if self._wanted(word.key, word.run) and self._engine.encode is not None:
            self._engine.encode.add(Task(word.key, word.run, word.image_tokens))
            self._engine.wake()

    def encoded(self, task: Task) -> None:
        if self._wanted(task.key, task.run):
            handle = self._sizes.embedding(task.image_tokens)
            self._images[task.key] = (task.run, handle)
            self._send(say.EncodeDone(task.key, task.run, handle))

    def forget(self, word: say.Forget) -> None:
        if not self._wanted(word.key, word.run):
            return
        _, handle = self._images.pop(word.key)
        if handle is None and self._engine.encode is not None:
            self._engine.encode.drop(word.key, word.run)

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

    def _wanted(self, key: str, run: int) -> bool:
        return self._images.get(key, (None,))[0] == run
