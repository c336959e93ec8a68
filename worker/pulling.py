"""The runs of a text worker, and the tensors that come and go for them.

Each run of a request has tasks of its own that pull: one for each embedding, one that pulls KV
chunk after chunk. When the run ends, whatever the reason, they end and its offers are released.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..transport import codec
from ..transport import messages as say
from ..transport.tensors import HandleGone, TensorPort, TransferError
from .engine import Assignment, Engine, Exported
from .text.generation import AlreadyOver

log = logging.getLogger(__name__)

FETCH_S = 30.0
MOST_HELD_BYTES = 2**24  # in words to a new controller; half of what it takes in a frame
Send = Callable[..., Any]


@dataclass(slots=True)
class Run:
    """`news` are the frames that tell of it, kept until the controller ends the run: one that
    takes the controller's place has heard none of them."""

    number: int
    client: int
    before: tuple[int, ...]  # emitted by earlier runs
    hand_over: bool
    offered: int = 0  # positions of KV that the other side has offered
    supplied: set[tuple[int, int]] = field(default_factory=set)  # images: index, offer
    news: list[bytes] = field(default_factory=list)
    finish: str = ""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    offers: dict[int, say.TensorHandle] = field(default_factory=dict)
    chunks: asyncio.Queue[say.KvOffer] = field(default_factory=asyncio.Queue)


class Pulling:
    """`port` and `engine` are there before the first work is: the worker is Ready by then."""

    port: TensorPort
    engine: Engine

    def __init__(self, send: Send) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._runs: dict[str, Run] = {}
        self.held_bytes = 0  # of embeddings under way or waiting for the engine

    def _run(self, request_id: str, number: int) -> Run | None:
        run = self._runs.get(request_id)
        return run if run is not None and run.number == number else None

    # Runs begin and end.

    def start(self, word: say.Prefill | say.Decode, *, adopt: bool) -> None:
        """Words may come twice: a run begins once."""
        if self._run(word.request_id, word.run) is not None:
            return
        self._forget(word.request_id)
        hand_over = isinstance(word, say.Prefill) and word.hand_over
        before = word.token_ids[word.prompt_tokens :]
        run = self._runs[word.request_id] = Run(word.run, word.client, before, hand_over)
        task = Assignment(
            request_id=word.request_id,
            run=word.run,
            client=word.client,
            order=word.order,
            rank=word.rank if isinstance(word, say.Prefill) else 0.0,
            tpot_s=word.tpot_s,
            token_ids=word.token_ids,
            prompt_tokens=word.prompt_tokens,
            spans=word.spans,
            sampling=word.sampling,
            hand_over=hand_over,
        )
        self.engine.call(partial(self._admit, task, adopt))
        if adopt:
            self._spawn(run, self._take_chunks(word.request_id, run))

    def _admit(self, task: Assignment, adopt: bool) -> None:
        with self._border(task):
            if not self.engine.admit(task, adopt=adopt):
                self._loop.call_soon_threadsafe(self._give_up, task.request_id, task.run)

    @contextmanager
    def _border(self, work: Assignment | say.Supply | say.KvOffer) -> Iterator[None]:
        """On the engine's thread: what goes wrong ends this run, and the others go on."""
        try:
            yield
        except Exception as error:
            fault = isinstance(error, AlreadyOver)  # the request's own
            log.log(logging.INFO if fault else logging.ERROR, "a run failed", exc_info=not fault)
            run = work.request_id, work.run
            self._loop.call_soon_threadsafe(self._fail, *run, str(error), fault)

    def _give_up(self, request_id: str, number: int) -> None:
        self.end(request_id, number)
        self._send(say.GaveUp(request_id, number))

    def release(self, request_id: str, number: int) -> None:
        """The controller ends a run: free everything of it, here and in the engine."""
        if self._run(request_id, number) is not None:
            self._forget(request_id)
        self.engine.call(partial(self.engine.drop_run, request_id, number))

    def note(self, row: say.Row, news: Mapping[int, bytes]) -> None:
        """The engine took a step with a run. One that finished is kept until the controller has
        heard of it, which it tells with `Release`."""
        run = self._run(row.request_id, row.run)
        if run is None:
            return
        run.finish = row.finish
        if frame := news.get(run.client):
            run.news.append(frame)

    def held(self) -> tuple[say.Held, ...]:
        """What a controller that never heard of it can go on with; everything else ends."""
        held: list[say.Held] = []
        left = MOST_HELD_BYTES
        told: dict[int, dict[str, say.Delta]] = {}  # of each frame, by request
        for request_id, run in list(self._runs.items()):
            if not run.news or (run.hand_over and not run.finish):
                self.release(request_id, run.number)
                continue
            for frame in run.news:
                if id(frame) not in told:
                    told[id(frame)] = {item.request_id: item for item in codec.deltas(frame).items}
            news = tuple(told[id(frame)][request_id] for frame in run.news)
            one = say.Held(request_id, run.number, run.client, run.before, news, run.finish)
            left -= len(codec.encode(one))
            if left < 0:
                self.release(request_id, run.number)
            else:
                held.append(one)
        return tuple(held)

    def end(self, request_id: str, number: int) -> None:
        """The engine gave a run up."""
        if self._run(request_id, number) is not None:
            self._forget(request_id)

    def clear(self) -> None:
        for request_id in list(self._runs):
            self._forget(request_id)

    def _forget(self, request_id: str) -> None:
        run = self._runs.pop(request_id, None)
        if run is None:
            return
        for task in run.tasks:
            task.cancel()
        for handle in run.offers.values():
            self.port.release(handle)

    def _spawn(self, run: Run, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        run.tasks.add(task)
        task.add_done_callback(run.tasks.discard)

    # Embeddings.

    def supply(self, word: say.Supply) -> None:
        run, offer = self._run(word.request_id, word.run), (word.index, word.handle.id)
        if run is not None and offer not in run.supplied:
            run.supplied.add(offer)
            self._spawn(run, self._pull(word))

    async def _pull(self, word: say.Supply) -> None:
        size = sum(part.bytes for part in word.handle.parts)
        self.held_bytes += size
        try:
            (rows,) = await self.port.fetch(word.handle, deadline_s=FETCH_S)
        except TransferError as error:
            gone = isinstance(error, HandleGone)
            reason = f"{type(error).__name__}: {error}"
            self._send(say.PullError(word.request_id, word.run, word.index, gone, reason))
            return
        finally:
            self.held_bytes -= size
        self.engine.call(partial(self._land, word, rows))
        self._send(say.Landed(word.request_id, word.run, word.index))

    def _land(self, word: say.Supply, rows: Any) -> None:
        stage = self.engine.stages.text
        assert stage is not None
        with self._border(word):
            stage.land(word.request_id, word.index, rows)

    def _fail(self, request_id: str, number: int, reason: str, fault: bool = False) -> None:
        if self._run(request_id, number) is not None:
            self.release(request_id, number)
            self._send(say.RunError(request_id, number, reason, fault))

    # KV.

    def offer_kv(self, exported: Exported) -> None:
        """Prefill side: a chunk is there to be pulled."""
        run = self._run(exported.request_id, exported.run)
        if run is None:
            return
        handle = self.port.offer(exported.tensors)
        run.offers[handle.id] = handle
        self._send(
            say.KvOffer(
                request_id=exported.request_id,
                run=exported.run,
                start=exported.start,
                end=exported.end,
                handle=handle,
                emitted=exported.emitted,
            )
        )

    def kv_taken(self, word: say.KvTaken) -> None:
        """Prefill side: the chunk has arrived."""
        run = self._run(word.request_id, word.run)
        if run is not None:
            run.offers.pop(word.handle.id, None)
        self.port.release(word.handle)

    def take_kv(self, word: say.KvOffer) -> None:
        """Decode side: chunks are pulled in order by the run's own task."""
        run = self._run(word.request_id, word.run)
        if run is not None and word.end > run.offered:
            run.offered = word.end
            run.chunks.put_nowait(word)

    async def _take_chunks(self, request_id: str, run: Run) -> None:
        last = False
        while not last:
            word = await run.chunks.get()
            last = word.emitted is not None
            run.before = word.emitted or run.before
            try:
                tensors = await self.port.fetch(word.handle, deadline_s=FETCH_S)
            except TransferError as error:
                self._fail(request_id, run.number, f"{type(error).__name__}: {error}")
                return
            self.engine.call(partial(self._import, word, tensors))

    def _import(self, word: say.KvOffer, tensors: list[Any]) -> None:
        """The answer leaves before anything the next step says."""
        stage = self.engine.stages.text
        assert stage is not None
        last = word.emitted is not None
        with self._border(word):
            stage.import_kv(word.request_id, word.start, tensors)
            if word.emitted is not None:
                self.engine.begin(word.request_id, word.emitted)
            taken = say.KvTaken(word.request_id, word.run, word.handle, last=last)
            self._loop.call_soon_threadsafe(self._send, taken)
