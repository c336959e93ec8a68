"""The stages of one emulated worker, the words that concern them, and what it tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence, Set
from typing import Any

import zmq

from ...scheduler.computing.encoding import EncodeStage, Task
from ...scheduler.pacing import ImagePace, TextPace
from ...scheduler.stage import Stage
from ...transport import messages as say
from .engine import Engine, Result
from .images import Images
from .profile import Emulation
from .runs import Runs
from .sizes import Sizes
from .text import Stepped, TextStage

TEXT = frozenset({Stage.PREFILL, Stage.DECODE})


class Work:
    def __init__(
        self,
        part: say.Welcome,
        stages: Set[Stage],
        emulation: Emulation,
        epoch: int,
        send: Callable[..., Any],
    ) -> None:
        """Raises BadCheckpoint where the model that it is to serve is none."""
        self.part, self._stages = part, stages
        self._sizes = sizes = Sizes.of(part, epoch, emulation)
        costs = emulation.costs
        text = encode = None
        if stages & TEXT:
            text = TextStage(
                costs.text,
                TextPace(part.step_tokens),
                blocks=sizes.kv_blocks,
                block_size=part.block_size,
                cross=sizes.facts.cross_layers > 0,
            )
        if Stage.ENCODE in stages:
            encode = EncodeStage(costs.encode, ImagePace(part.step_image_tokens))
        self.engine = Engine(text, encode, self._report, asyncio.get_running_loop())
        self._runs = Runs(send, self.engine, sizes, costs.link)
        self.images = Images(send, self.engine, sizes, costs.preprocess)
        self._on: dict[type, Callable[[Any], None]] = {
            say.Forget: self.images.store.forget,
            say.Prefill: self._runs.start,
            say.Decode: self._runs.start,
            say.Supply: self._runs.supply,
            say.KvOffer: self._runs.take_kv,
            say.KvTaken: lambda word: None,  # nothing was kept for it
            say.Release: self._runs.release,
        }

    def hear(self, word: say.ToWorker, frames: Sequence[zmq.Frame]) -> None:
        if isinstance(word, say.Encode):
            self.images.encode(word, frames)
        else:
            self._on[type(word)](word)

    def ready(self) -> say.Ready:
        part, sizes = self.part, self._sizes
        text, encode = self._stages & TEXT, Stage.ENCODE in self._stages
        return say.Ready(
            fingerprint=part.fingerprint,
            dtype=sizes.dtype,
            kv_blocks=sizes.kv_blocks if text else 0,
            store_bytes=part.store_bytes if encode else 0,
            staging_bytes=part.staging_bytes if text else 0,
            held=self._runs.held(),
            stored=self.images.store.stored(),
        )

    def beat(self) -> say.Beat:
        text, encode = self.engine.text, self.engine.encode
        stuck = text.stuck if text is not None else 0
        return say.Beat(
            kv_blocks_used=text.used if text is not None else 0,
            store_bytes_used=self.images.store.bytes,
            running=len(text.sequences) - stuck if text is not None else 0,
            waiting=stuck + (len(encode) if encode is not None else 0),
            tokens=text.tokens if text is not None else 0,
            image_tokens=encode.image_tokens if encode is not None else 0,
            busy_s=self.engine.busy_s,
            image_token_s=encode.pace.token_s if encode is not None else 0.0,
            prompt_token_s=text.pace.token_s if text is not None else 0.0,
            decode_s=text.pace.decode_s if text is not None else 0.0,
            row_s=text.pace.row_s if text is not None else 0.0,
        )

    def clear(self) -> None:
        """Give up all of it: it was given to others."""
        self._runs.clear()
        self.images.store.clear()

    def stop(self) -> None:
        self.clear()
        self.engine.stop()

    def _report(self, result: Result) -> None:
        match result:
            case Stepped():
                self._runs.stepped(result)
            case Task():
                self.images.encoded(result)
