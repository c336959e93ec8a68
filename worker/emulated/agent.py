"""An emulated worker: every word that a real one says, in its order, and sleep between them.

    Hello -> Welcome -> (loading) -> Ready -> work -> Leave -> Stop -> Bye

It stays, leaves and comes back as ../agent.py does; many of them share a loop and a ZeroMQ context.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable
from typing import Any

import zmq

from ...scheduler.pacing import ImagePace, TextPace
from ...scheduler.stage import Stage, stages_of
from ...transport import codec
from ...transport import messages as say
from ...transport.channels import Dealer, Sent
from ...transport.security import PeerKeys
from .encoding import EncodeStage, Task
from .engine import Engine, Result
from .images import Images
from .options import EmulatedOptions
from .profile import Emulation
from .runs import Runs
from .sizes import Sizes
from .text import Stepped, TextStage

log = logging.getLogger(__name__)

TEXT = frozenset({Stage.PREFILL, Stage.DECODE})
HELLO_S = 1.0  # after which an unanswered Hello is said again
SILENT_S = 2.0  # of a controller that a leaving worker does not wait for
FIRST_BEAT_S = 0.25  # until the controller says how often


class Unwanted(Exception):
    """The worker cannot serve here; one sentence for whoever started it."""


class Agent:
    def __init__(
        self,
        options: EmulatedOptions,
        emulation: Emulation,
        tell: Callable[..., None],
        *,
        name: str = "",
        keys: PeerKeys | None = None,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        """`tell(event, **fields)` reports to whoever started the process. Needs a running loop."""
        self._options, self._emulation, self._tell = options, emulation, tell
        self._loop = asyncio.get_running_loop()
        self._name = name
        self._stages = stages_of(list(options.stages))
        self._epoch = secrets.randbits(63)
        self._dealer = Dealer(
            options.controller,
            self._hear,
            keys=keys,
            reconnected=self._reconnected,
            context=context,
        )
        self._part: say.Welcome | None = None
        self._sizes: Sizes | None = None  # these four are made when the controller has named us
        self._engine = Engine(None, None, self._report, self._loop)
        self._runs: Runs | None = None
        self._images: Images | None = None
        self._heard = self._loop.time()
        self._said_hello: float | None = None  # when, until it is answered
        self._ready = self._leaving = False
        self._over: asyncio.Future[str] = self._loop.create_future()
        self._on: dict[type, Callable[[Any], None]] = {
            say.Welcome: self._welcome,
            say.Share: lambda word: None,
            say.Stop: lambda word: self._end(""),
            say.PeerGone: lambda word: None,
            say.Relay: lambda word: None,
            say.Unknown: lambda word: self._introduce(),
            say.Denied: self._denied,
            say.Ping: lambda word: None,
        }

    async def run(self) -> None:
        """Until told to stop; raises Unwanted where the controller refused or fell silent."""
        self._hello()
        watch = self._loop.create_task(self._watch())
        try:
            reason = await self._over
            if reason:
                raise Unwanted(reason)
        finally:
            watch.cancel()
            self._close()

    def leave(self) -> None:
        """Ask to be drained; asked twice, or without a controller that answers, end now."""
        silent = self._loop.time() - self._heard > SILENT_S
        if self._leaving or silent or not self._ready or self._send(say.Leave()) is not Sent.OK:
            self._end("")
        self._leaving = True

    def _end(self, reason: str) -> None:
        if not self._over.done():
            self._over.set_result(reason)

    def _close(self) -> None:
        self._clear()
        self._engine.stop()
        self._send(say.Bye())
        self._dealer.close()

    # Speaking.

    def _send(self, word: say.FromWorker, *frames: bytes) -> Sent:
        return self._dealer.send(codec.encode(word), *frames)

    def _hello(self) -> None:
        options = self._options
        self._said_hello = self._loop.time()
        self._send(
            say.Hello(
                protocol=say.PROTOCOL,
                token=options.token,
                epoch=self._epoch,
                name=self._part.name if self._part else self._name,
                stages=options.stages,
                host=socket.gethostname(),
                pid=os.getpid(),
                device="emulated",
                dtype=options.dtype,
                cores=os.cpu_count() or 1,
                threads=1,  # of its own: nobody else's cores are shared with it
                log=options.log,
            )
        )

    async def _watch(self) -> None:
        """Heartbeats, and the controller's silence."""
        while True:
            part = self._part
            await asyncio.sleep(part.beat_s if part else FIRST_BEAT_S)
            silent = self._loop.time() - self._heard
            if silent > (part.rejoin_s if part else 60.0):
                self._end(
                    f"expected a word from {self._options.controller}, got {silent:.0f} s of "
                    "silence"
                )
            if self._ready:
                self._send(self._beat())
            elif self._said_hello is not None and self._loop.time() - self._said_hello > HELLO_S:
                self._hello()

    def _beat(self) -> say.Beat:
        text, encode = self._engine.text, self._engine.encode
        stuck = text.stuck if text is not None else 0
        return say.Beat(
            kv_blocks_used=text.used if text is not None else 0,
            store_bytes_used=self._images.stored_bytes if self._images is not None else 0,
            running=len(text.sequences) - stuck if text is not None else 0,
            waiting=stuck + (len(encode) if encode is not None else 0),
            tokens=text.tokens if text is not None else 0,
            image_tokens=encode.image_tokens if encode is not None else 0,
            busy_s=self._engine.busy_s,
            image_token_s=encode.pace.token_s if encode is not None else 0.0,
            prompt_token_s=text.pace.token_s if text is not None else 0.0,
            decode_s=text.pace.decode_s if text is not None else 0.0,
        )

    # Hearing.

    def _hear(self, frames: list[zmq.Frame]) -> None:
        self._heard = self._loop.time()
        try:
            word = codec.to_worker(frames[0].buffer)
        except codec.BadFrame as error:
            log.warning("refused a message: %s", error)
            return
        if self._over.done():
            return  # leaving: nothing is begun
        if isinstance(word, say.Encode):
            if self._images is not None:
                self._images.encode(word, frames[1:])
        else:
            self._on[type(word)](word)

    def _denied(self, word: say.Denied) -> None:
        if not word.again:
            self._end(word.reason)
        elif self._ready:
            self._ready = False
            self._clear()
            self._hello()

    def _reconnected(self) -> None:
        """Words may be lost, on both sides: ours, or of the one that took its place."""
        self._introduce()

    def _introduce(self) -> None:
        """To a controller that was started anew: what decodes here goes on meanwhile."""
        if self._ready:
            self._ready = False
            self._hello()

    def _clear(self) -> None:
        if self._runs is not None and self._images is not None:
            self._runs.clear()
            self._images.clear()

    # Loading.

    def _welcome(self, part: say.Welcome) -> None:
        self._said_hello = None
        if self._part is None:
            self._part = part
            self._sizes = Sizes.of(part, self._epoch, self._emulation)
            self._assemble(part, self._sizes)
            self._loop.call_later(self._emulation.load_s, self._announce)
        elif (part.model, part.fingerprint) != (self._part.model, self._part.fingerprint):
            self._end("the controller serves another model now")
        elif self._runs is not None:
            self._announce()

    def _assemble(self, part: say.Welcome, sizes: Sizes) -> None:
        costs = self._emulation.costs
        if self._stages & TEXT:
            gap_s = part.gap_s if Stage.DECODE in self._stages else None
            self._engine.text = TextStage(
                costs.text,
                TextPace(part.step_tokens, gap_s),
                blocks=sizes.kv_blocks,
                block_size=part.block_size,
                cross=sizes.facts.cross_layers > 0,
            )
        if Stage.ENCODE in self._stages:
            pace = ImagePace(part.step_image_tokens)
            self._engine.encode = EncodeStage(costs.encode, pace)
        self._runs = runs = Runs(self._send, self._engine, sizes, costs.link)
        self._images = images = Images(self._send, self._engine, sizes, costs.preprocess)
        self._on |= {
            say.Forget: images.forget,
            say.Prefill: runs.start,
            say.Decode: runs.start,
            say.Supply: runs.supply,
            say.KvOffer: runs.take_kv,
            say.KvTaken: lambda word: None,
            say.Release: runs.release,
        }

    def _announce(self) -> None:
        part, sizes, runs, images = self._part, self._sizes, self._runs, self._images
        if self._over.done() or part is None or sizes is None or runs is None or images is None:
            return
        self._send(
            say.Ready(
                fingerprint=part.fingerprint,
                dtype=sizes.dtype,
                kv_blocks=sizes.kv_blocks if self._stages & TEXT else 0,
                store_bytes=part.store_bytes if Stage.ENCODE in self._stages else 0,
                staging_bytes=part.staging_bytes if self._stages & TEXT else 0,
                held=runs.held(),
                stored=images.stored(),
            )
        )
        self._ready = True
        self._send(self._beat())  # with its speed: admission predicts by it
        if self._leaving:  # the controller that was told is no more
            self._send(say.Leave())
        self._tell("ready", name=part.name, pid=os.getpid())

    def _report(self, result: Result) -> None:
        assert self._runs is not None and self._images is not None
        match result:
            case Stepped():
                self._runs.stepped(result)
            case Task():
                self._images.encoded(result)
