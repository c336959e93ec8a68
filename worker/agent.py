"""The asyncio half of a worker: hears the controller, moves tensors, keeps the engine busy.

It owns no torch: everything that computes is a call to the engine, whose results come back to the
loop in order. Its membership (membership.py) says Hello and goodbye. A worker that is told to
`Switch` says Hello with other stages, and goes the same way once more with what it has loaded.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import zmq

from ..scheduler.sharing import niceness
from ..scheduler.stage import Stage, stages_of
from ..transport import codec
from ..transport import messages as say
from ..transport.checkpoint import BadCheckpoint
from ..transport.gloo import GlooPort
from ..transport.patience import Patience
from ..transport.security import PeerKeys
from .assembly import Stages, assemble
from .encoding import Encoding
from .engine import Broken, Engine, Result, Stepped
from .halves import Halves
from .membership import Membership
from .options import WorkerOptions
from .pulling import Pulling
from .seeing import PICTURE_S, PICTURES_AT_ONCE, Seeing

log = logging.getLogger(__name__)

LOADING_S = 0.1  # between two words about progress
ENGINE_STOP_S = 5.0


class Agent:
    def __init__(
        self, options: WorkerOptions, device: torch.device, tell: Callable[..., None]
    ) -> None:
        """`tell(event, **fields)` reports to whoever started the process. Needs a running loop.
        Raises BadKeys."""
        self._options, self._device, self._tell = options, device, tell
        self._loop = asyncio.get_running_loop()
        self._member = Membership(
            options,
            self,
            device=str(device),
            name=options.name,
            threads=options.threads,
            keys=PeerKeys.read(Path(options.keys)) if options.keys else None,
        )
        self._send = self._member.send
        self._port: GlooPort | None = None  # made when the controller has named us
        threads = min(PICTURES_AT_ONCE, options.threads or PICTURES_AT_ONCE)
        self._files = Patience(threads, PICTURE_S, "pictures")
        self._serves: tuple[str, ...] = ()  # stages that the engine has; what it says: the member's
        self._loading: asyncio.Task[None] | None = None
        self._halves = Halves()
        self._engine: Engine | None = None
        self._pulling = Pulling(self._send)
        self._seeing = Seeing(self._send, self._files, threads)
        self._told_loading = 0.0
        self._share_of: say.Share | None = None  # as the controller said last
        self._on: dict[type, Callable[[Any], None]] = {
            say.Welcome: self._welcome,
            say.Forget: self._seeing.store.forget,
            say.Prefill: partial(self._start, adopt=False),
            say.Decode: partial(self._start, adopt=True),
            say.Supply: self._pulling.supply,
            say.KvOffer: self._pulling.take_kv,
            say.KvTaken: self._pulling.kv_taken,
            say.Release: self._release,
            say.Share: self._share,
            say.Switch: self._switch,
            say.PeerGone: self._peer_gone,
            say.Relay: self._relayed,
            say.Ping: self._pinged,
        }

    async def run(self) -> None:
        """Until told to stop; raises Unwanted where the controller refused or fell silent."""
        await self._member.run()

    def leave(self) -> None:
        """Ask to be drained; asked twice, or without a controller that answers, end now."""
        self._member.leave()

    async def close(self) -> None:
        self._pulling.clear()
        self._files.close()
        if self._engine is not None:
            await asyncio.to_thread(self._engine.stop, ENGINE_STOP_S)
        if self._port is not None:
            await self._port.close()

    # Speaking.

    def _relay(self, peer: str, body: bytes) -> None:
        self._send(say.Relay(peer, body))

    def beat(self) -> say.Beat | None:
        """Also while other stages are loaded."""
        if self._engine is None or self._port is None:
            return None
        if not self._member.ready and self._loading is None:
            return None
        pulse, port = self._engine.pulse, self._port.stats()
        return say.Beat(
            kv_blocks_used=pulse.kv_blocks_used,
            kv_blocks_cached=pulse.kv_blocks_cached,
            prefix_tokens=pulse.prefix_tokens,
            prefix_hit_tokens=pulse.prefix_hit_tokens,
            store_bytes_used=self._seeing.store.bytes,
            staging_bytes_used=pulse.cross_bytes + self._pulling.held_bytes,
            running=pulse.running,
            waiting=pulse.waiting,
            links=port.links,
            quarantined_bytes=port.quarantined_bytes,
            tokens=pulse.tokens,
            image_tokens=pulse.image_tokens,
            busy_s=max(pulse.busy_s, self._seeing.busy_s),
            image_token_s=max(pulse.image_token_s, self._seeing.token_s),
            prompt_token_s=pulse.prompt_token_s,
            decode_s=pulse.decode_s,
            row_s=pulse.row_s,
            resident_bytes=_resident_bytes(),
        )

    # Hearing.

    def hear(self, word: say.ToWorker, frames: list[zmq.Frame]) -> None:
        if isinstance(word, say.Encode):
            self._seeing.encode(word, frames)
        else:
            self._on[type(word)](word)

    def _pinged(self, word: say.Ping) -> None:
        if self._port is not None:
            self._port.renew()  # the controller is alive, so what it knows of is still wanted

    def forget(self) -> None:
        self._pulling.clear()
        self._seeing.store.clear()
        if self._engine is not None:
            self._engine.call(self._engine.clear)

    def _switch(self, word: say.Switch) -> None:
        """Nothing is left to do here as what we were."""
        if word.stages != self._member.stages:  # it may come twice
            self._member.start_over(word.stages)

    def _share(self, word: say.Share) -> None:
        self._share_of = word
        if self._engine is not None:
            self._engine.call(partial(self._engine.share, word.threads, beside=word.beside))

    def _peer_gone(self, word: say.PeerGone) -> None:
        if self._port is not None:
            self._port.lost(word.name, word.epoch)

    def _relayed(self, word: say.Relay) -> None:
        if self._port is None:
            return
        try:
            self._port.receive(word.peer, word.body)
        except codec.BadFrame as error:
            log.warning("refused a message of %s: %s", word.peer, error)

    # Loading.

    def _welcome(self, part: say.Welcome) -> None:
        if self._loading is not None:
            return  # welcomed twice
        mine = self._member.part or part
        if (part.model, part.fingerprint) != (mine.model, mine.fingerprint):
            self._member.end("the controller serves another model now")
            return
        self._share(say.Share(part.threads, beside=False))
        if self._engine is not None and self._serves == self._member.stages:
            self._announce(self._engine.stages)
            return
        self._member.part = part
        if self._port is None:
            self._open_port(part)
        self._loading = self._loop.create_task(self._load(part))
        self._loading.add_done_callback(self._loaded)

    def _open_port(self, part: say.Welcome) -> None:
        self._port = GlooPort(
            part.name,
            self._relay,
            host=self._options.data_host,
            device=self._device.type,
            epoch=self._member.epoch,
        )
        self._pulling.port = self._seeing.port = self._port

    async def _load(self, part: say.Welcome) -> None:
        names = self._member.stages
        stages = stages_of(list(names))
        await self._rest()
        try:
            made = await self._loop.run_in_executor(
                None, assemble, part, stages, self._device, self._progress, self._halves
            )
        except BadCheckpoint as error:
            self._send(say.Unable(str(error)))
            self._member.end(str(error))
            return
        self._start_engine(made, stages)
        self._loading, self._serves = None, names
        self._announce(made)

    async def _rest(self) -> None:
        """The memory of the stages that it had is free for those to come."""
        if self._engine is not None and not await asyncio.to_thread(
            self._engine.stop, ENGINE_STOP_S
        ):
            raise RuntimeError(
                f"expected a step of at most {ENGINE_STOP_S:g} s, got one that hangs"
            )

    def _start_engine(self, made: Stages, stages: frozenset[Stage]) -> None:
        if self._engine is None:
            self._engine = Engine(made, self._report)
            self._pulling.engine = self._seeing.engine = self._engine
        self._engine.stages = made
        nice = self._options.nice
        if nice is None:  # a GPU's worker computes little here, and what it does is short
            nice = niceness(stages) if self._device.type == "cpu" else 0
        self._engine.start(nice)
        if self._share_of is not None:
            self._share(self._share_of)

    def _loaded(self, loading: asyncio.Task[None]) -> None:
        """A bug while loading must not look like patience."""
        error = None if loading.cancelled() else loading.exception()
        if error is not None:
            log.error("loading failed", exc_info=error)
            self._send(say.Unable(f"loading failed: {error}"))
            self._member.end(f"loading failed: {error}")

    def _announce(self, made: Stages) -> None:
        part = self._member.part
        assert part is not None
        ready = say.Ready(
            fingerprint=made.fingerprint,
            dtype=made.dtype,
            kv_blocks=made.kv_blocks,
            store_bytes=part.store_bytes if made.encode is not None else 0,
            staging_bytes=part.staging_bytes if made.text is not None else 0,
            held=self._pulling.held(),
            stored=self._seeing.store.stored(),
        )
        self._member.announce(ready)
        self._tell("ready", name=part.name, pid=os.getpid())

    def _progress(self, done: int, total: int) -> None:
        """From the loading thread; a few words a second are enough."""
        now = time.monotonic()
        if done < total and now - self._told_loading < LOADING_S:
            return
        self._told_loading = now
        self._loop.call_soon_threadsafe(self._say_loading, done, total)

    def _say_loading(self, done: int, total: int) -> None:
        self._send(say.Loading(done, total))
        self._tell("loading", done=done, total=total)

    # Text.

    def _start(self, word: say.Prefill | say.Decode, *, adopt: bool) -> None:
        self._pulling.start(word, adopt=adopt)

    def _release(self, word: say.Release) -> None:
        self._pulling.release(word.request_id, word.run)

    def _report(self, result: Result) -> None:
        """On the engine's thread: hop to ours."""
        self._loop.call_soon_threadsafe(self._tell_result, result)

    def _tell_result(self, result: Result) -> None:
        match result:
            case Encoding():
                self._seeing.encoded(result)
            case Stepped():
                self._stepped(result)
            case Broken(runs, reason):
                for request_id, run in runs:
                    self._pulling.end(request_id, run)
                    self._send(say.RunError(request_id, run, reason, fault=False))

    def _stepped(self, step: Stepped) -> None:
        """Room that was given up first, then news, then KV: the controller counts in this order."""
        for request_id, run in step.preempted:
            self._pulling.end(request_id, run)
            self._send(say.GaveUp(request_id, run))
        if step.rows:
            self._send(say.Stepped(step.rows, tuple(step.news)), *step.news.values())
        for row in step.rows:
            self._pulling.note(row, step.news)
        for exported in step.exported:
            self._pulling.offer_kv(exported)


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return 0
