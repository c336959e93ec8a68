"""The images of an encode worker: from the file that came to an embedding on offer.

Files are decoded and cut in threads, the engine encodes; what is forgotten on the way is dropped
wherever it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import zmq

from ..scheduler.pacing import ImagePace
from ..transport import messages as say
from ..transport.patience import Patience, TooSlow
from ..transport.pictures import BadImage
from ..transport.tensors import TensorPort
from .encoding import EncodeTask, Encoding
from .engine import Engine
from .preprocessing import preprocess
from .store import EmbeddingStore

PICTURES_AT_ONCE = 2  # threads that prepare them
PICTURE_S = 30.0  # to decode and cut one

log = logging.getLogger(__name__)


class Seeing:
    """`port` and `engine` are there before the first image is: the worker is Ready by then."""

    port: TensorPort
    engine: Engine

    def __init__(self, send: Callable[..., Any], files: Patience, threads: int) -> None:
        """`files`: so many threads."""
        self._send, self._files, self._threads = send, files, threads
        self._pace = ImagePace(0)  # of one of them
        self._spent_s = 0.0  # by all of them
        self.store = EmbeddingStore(self._drop)

    def encode(self, word: say.Encode, frames: Sequence[zmq.Frame]) -> None:
        if len(frames) != 1 or self.engine.stages.vision is None:
            reason = f"expected one image file and a vision half, got {len(frames)} files"
            self._send(say.EncodeError(word.key, word.run, reason, fault=False))
            return
        if self.store.begin(word.key, word.run):
            future = self._files.run(partial(self._pixels, word, frames[0]))
            future.add_done_callback(partial(self._preprocessed, word))

    def _pixels(self, word: say.Encode, frame: zmq.Frame) -> tuple[EncodeTask, float]:
        """And the seconds that it took."""
        half = self.engine.stages.vision
        assert half is not None
        begun = time.perf_counter()
        pixels = preprocess(frame.bytes, word.mode, half)
        task = EncodeTask(word.key, word.run, pixels, image_tokens=word.image_tokens)
        return task, time.perf_counter() - begun

    # Pictures are prepared beside the engine's batches: whichever takes longer is what this
    # worker can do, and how busy it is.

    @property
    def token_s(self) -> float:
        """Of preparing an image token, by all threads."""
        return self._pace.token_s / self._threads

    @property
    def busy_s(self) -> float:
        """Of each thread, on average."""
        return self._spent_s / self._threads

    def _preprocessed(
        self, word: say.Encode, future: asyncio.Future[tuple[EncodeTask, float]]
    ) -> None:
        if future.cancelled() or not self.store.wanted(word.key, word.run):
            return
        error = future.exception()
        if error is None:
            task, spent_s = future.result()
            self._pace.took(task.image_tokens, spent_s)
            self._spent_s += spent_s
            self.engine.call(partial(self.engine.encode, task))
            return
        self.store.fail(word.key)
        reason, fault = str(error), not isinstance(error, MemoryError)
        if isinstance(error, TooSlow):
            reason = f"expected a picture that is prepared within {PICTURE_S:g} s"
        elif not isinstance(error, BadImage):
            log.error("preprocessing failed", exc_info=error)
            reason = f"expected a picture that can be prepared, got {type(error).__name__}: {error}"
        self._send(say.EncodeError(word.key, word.run, reason, fault))

    def encoded(self, encoding: Encoding) -> None:
        """The engine has encoded an image, or could not."""
        if not self.store.wanted(encoding.key, encoding.run):
            return
        if encoding.rows is None:
            self.store.fail(encoding.key)
            self._send(say.EncodeError(encoding.key, encoding.run, encoding.error, fault=False))
            return
        handle = self.port.offer([encoding.rows])
        self.store.keep(encoding.key, encoding.run, handle)
        self._send(say.EncodeDone(encoding.key, encoding.run, handle))

    def _drop(self, key: str, run: int, handle: say.TensorHandle | None) -> None:
        if handle is not None:
            self.port.release(handle)
        else:
            self.engine.call(partial(self.engine.forget, key, run))
