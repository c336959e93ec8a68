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
from ..store import EmbeddingStore
from .engine import Engine
from .sizes import Sizes
from .waiting import Lane

LANES = 2  # threads that prepare pictures, in a real worker


class Images:
    def __init__(
        self, send: Callable[..., Any], engine: Engine, sizes: Sizes, cost: PreprocessCost | None
    ) -> None:
        self._send, self._engine, self._sizes, self._cost = send, engine, sizes, cost
        self._lanes = [Lane(asyncio.get_running_loop()) for _ in range(LANES)]
        self.store = EmbeddingStore(self._drop)

    def encode(self, word: say.Encode, frames: Sequence[zmq.Frame]) -> None:
        if len(frames) != 1 or self._engine.encode is None:
            reason = f"expected one image file and an encode stage, got {len(frames)} files"
            self._send(say.EncodeError(word.key, word.run, reason, fault=False))
            return
        if not self.store.begin(word.key, word.run):
            return
        try:
            seconds = self._preprocess_s(frames[0])
        except BadImage as error:
            self.store.fail(word.key)
            self._send(say.EncodeError(word.key, word.run, str(error), fault=True))
            return
        lane = min(self._lanes, key=lambda one: one.free_at)
        lane.take(seconds, partial(self._preprocessed, word))

    def _preprocess_s(self, frame: zmq.Frame) -> float:
        if self._cost is None:
            return 0.0
        picture = measure(memoryview(frame.buffer))
        return self._cost.seconds(picture.width * picture.height)

    def _preprocessed(self, word: say.Encode) -> None:
        if self.store.wanted(word.key, word.run) and self._engine.encode is not None:
            self._engine.encode.add(Task(word.key, word.run, word.image_tokens))
            self._engine.wake()

    def encoded(self, task: Task) -> None:
        if self.store.wanted(task.key, task.run):
            handle = self._sizes.embedding(task.image_tokens)
            self.store.keep(task.key, task.run, handle)
            self._send(say.EncodeDone(task.key, task.run, handle))

    def _drop(self, key: str, run: int, handle: say.TensorHandle | None) -> None:
        if handle is None and self._engine.encode is not None:
            self._engine.encode.drop(key, run)
