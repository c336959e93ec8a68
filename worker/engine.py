"""The one thread that owns torch. Everybody else hands it work and is told the results.

Work comes in as calls through a queue, results go out through `loop.call_soon_threadsafe`, both
in order. Between calls the thread runs steps as long as a stage has something to do: a text step,
then an encode batch, so that in a worker with all stages neither starves the other. A worker that
changes its stages stops the engine and starts it with others, on another thread.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from threading import Thread

import torch
from torch import Tensor

from ..transport import codec
from ..transport.messages import Delta, Deltas, Row, Sampling, Span
from .assembly import Stages
from .encoding import EncodeTask, Encoding
from .priority import yield_to_others
from .text import text_work as text
from .text.blocks import NoRoom

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A request as the controller gave it; `hand_over`: prefill here, decode elsewhere."""

    request_id: str
    run: int
    client: int
    order: int
    rank: float
    tpot_s: float
    token_ids: tuple[int, ...]
    prompt_tokens: int
    spans: tuple[Span, ...]
    sampling: Sampling
    hand_over: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """KV of positions [start, end) of a request that decodes elsewhere, copied out."""

    request_id: str
    run: int
    start: int
    end: int
    tensors: list[Tensor]
    emitted: tuple[int, ...] | None  # with the last one


@dataclass(frozen=True, slots=True)
class Stepped:
    rows: tuple[Row, ...]
    news: dict[int, bytes]  # an encoded Deltas for each client
    exported: list[Exported]
    preempted: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Broken:
    """A step failed: everything of these runs is freed."""

    runs: list[tuple[str, int]]
    reason: str


@dataclass(slots=True)
class _Run:
    """What the engine keeps of a request beside the text stage."""

    task: Assignment
    emitted: list[int]


@dataclass(slots=True)
class Pulse:
    """A snapshot for heartbeats, replaced whole after every step."""

    kv_blocks_used: int = 0
    kv_blocks_cached: int = 0
    prefix_tokens: int = 0
    prefix_hit_tokens: int = 0
    cross_bytes: int = 0
    running: int = 0
    waiting: int = 0
    tokens: int = 0
    image_tokens: int = 0
    busy_s: float = 0.0
    image_token_s: float = 0.0
    prompt_token_s: float = 0.0
    decode_s: float = 0.0
    row_s: float = 0.0


Result = Stepped | Broken | Encoding
Call = Callable[[], None]


@dataclass(slots=True)
class Engine:
    stages: Stages
    report: Callable[[Result], None]  # called from the engine's thread: hop to your own
    pulse: Pulse = field(default_factory=Pulse)
    _calls: SimpleQueue[Call | None] = field(default_factory=SimpleQueue)
    _runs: dict[str, _Run] = field(default_factory=dict)
    _thread: Thread | None = None
    _tokens: int = 0
    _busy_s: float = 0.0
    _nice: int = 0  # of the thread, or of the last one
    _before: Pulse = field(default_factory=Pulse)  # of the stages that it had

    def start(self, nice: int = 0) -> None:
        """`nice`: how much its thread, and those that torch starts from it, yield to others."""
        self._thread = Thread(
            target=self._serve, args=(nice, self._nice), name="engine", daemon=True
        )
        self._nice = nice
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """End after the step under way and let go of the stages, with their memory; False where a
        step hangs, which is left behind."""
        self._calls.put(None)
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                return False
        self._before = self.pulse
        self.stages = replace(self.stages, vision=None, encode=None, text=None, kv_blocks=0)
        gc.collect()  # a KV pool and its prefix cache know each other
        return True

    def call(self, function: Call) -> None:
        """Run `function` on the engine's thread, after all calls before it."""
        self._calls.put(function)

    # On the engine's thread.

    def _serve(self, nice: int, before: int) -> None:
        yield_to_others(nice, before)
        with torch.inference_mode():
            busy, going = False, True
            while going:
                try:
                    going = self._take_calls(idle=not busy)
                    busy = going and self._step()
                except Exception as error:  # the border of a step: its runs fail, the worker not
                    log.exception("a step failed")
                    busy = bool(self.stages.encode)  # images that wait were no part of it
                    self._break(f"a step failed: {error}")
                self._feel_pulse()

    def _break(self, reason: str) -> None:
        broken = [(name, run.task.run) for name, run in self._runs.items()]
        for name in list(self._runs):
            self.drop(name, sound=False)
        self.report(Broken(broken, reason))

    def _take_calls(self, *, idle: bool) -> bool:
        """Run what was asked; False at the end. Waits for the first call if there is no work, and
        for a while where the work can wait."""
        try:
            while True:
                rest_s = None if idle else self._rest_s()
                call = self._calls.get(rest_s != 0.0, rest_s)
                if call is None:
                    return False
                call()
                idle = False
        except Empty:
            return True

    def _rest_s(self) -> float:
        stage, encode = self.stages.text, self.stages.encode
        return 0.0 if stage is None or encode else stage.rest_s()

    def _step(self) -> bool:
        """One text step and one encode batch; whether there was anything to do."""
        begun = time.perf_counter()
        worked = self._text_step() if self.stages.text is not None and self._runs else False
        if self.stages.encode is not None and len(self.stages.encode):
            for encoding in self.stages.encode.step():
                self.report(encoding)
            worked = True
        self._busy_s += time.perf_counter() - begun if worked else 0.0
        return worked

    def _text_step(self) -> bool:
        stage = self.stages.text
        assert stage is not None
        result = stage.step()
        if result.idle:
            return False
        self.report(self._told(result))
        return True

    def _told(self, result: text.StepResult) -> Stepped:
        rows: list[Row] = []
        news: dict[int, list[Delta]] = {}
        exported: list[Exported] = []
        preempted = [
            (name, self._runs.pop(name).task.run) for name in result.preempted if name in self._runs
        ]
        for progress in result.progress:
            run = self._runs[progress.request_id]
            if progress.token_id is not None:
                self._tokens += 1
                news.setdefault(run.task.client, []).append(_delta(progress, len(run.emitted)))
                run.emitted.append(progress.token_id)
            if progress.finish_reason is not None:
                del self._runs[progress.request_id]
            elif run.task.hand_over and progress.chunk is not None:
                exported.append(self._export(run, progress))
            if progress.token_id is not None:
                rows.append(_row(progress, run))
        frames = {client: codec.encode(Deltas(tuple(items))) for client, items in news.items()}
        return Stepped(tuple(rows), frames, exported, preempted)

    def _export(self, run: _Run, progress: text.Progress) -> Exported:
        assert self.stages.text is not None
        assert progress.chunk is not None
        start, end = progress.chunk
        return Exported(
            request_id=progress.request_id,
            run=run.task.run,
            start=start,
            end=end,
            tensors=self.stages.text.export_kv(progress.request_id, start, end),
            emitted=tuple(run.emitted) if progress.prefilled else None,
        )

    def _feel_pulse(self) -> None:
        stage, encode = self.stages.text, self.stages.encode
        stats = stage.stats() if stage is not None else None
        before = self._before
        self.pulse = Pulse(
            kv_blocks_used=stats.blocks_used if stats else 0,
            kv_blocks_cached=stats.blocks_cached if stats else 0,
            prefix_tokens=before.prefix_tokens + (stats.prefix_tokens if stats else 0),
            prefix_hit_tokens=before.prefix_hit_tokens + (stats.prefix_hit_tokens if stats else 0),
            cross_bytes=stats.cross_bytes if stats else 0,
            running=stats.decoding + stats.prefilling if stats else 0,
            waiting=(stats.waiting if stats else 0) + (len(encode) if encode else 0),
            tokens=self._tokens,
            image_tokens=before.image_tokens + (encode.image_tokens if encode is not None else 0),
            busy_s=self._busy_s,
            image_token_s=encode.pace.token_s if encode is not None else 0.0,
            prompt_token_s=stage.pace.token_s if stage is not None else 0.0,
            decode_s=stage.pace.decode_s if stage is not None else 0.0,
            row_s=stage.pace.row_s if stage is not None else 0.0,
        )

    # Verbs for `call`, on the engine's thread.

    def admit(self, task: Assignment, *, adopt: bool) -> bool:
        """Make room for a run, replacing an older one; False where there is none."""
        stage = self.stages.text
        assert stage is not None
        self.drop(task.request_id)
        work = text.TextTask(
            request_id=task.request_id,
            token_ids=task.token_ids,
            prompt_length=task.prompt_tokens,
            sampling=task.sampling,
            order=task.order,
            rank=task.rank,
            tpot_s=task.tpot_s,
            spans=tuple(text.Span(s.start, s.length, s.image, s.tiles, s.key) for s in task.spans),
            hand_over=task.hand_over,
        )
        try:
            stage.adopt(work) if adopt else stage.admit(work)
        except NoRoom as error:
            log.info("no room: %s", error)
            return False
        self._runs[task.request_id] = _Run(task, list(task.token_ids[task.prompt_tokens :]))
        return True

    def begin(self, request_id: str, emitted: tuple[int, ...]) -> None:
        """An adopted request has its whole KV."""
        run = self._runs.get(request_id)
        if run is not None and self.stages.text is not None:
            run.emitted = list(emitted)
            self.stages.text.begin(request_id, emitted)

    def drop(self, request_id: str, *, sound: bool = True) -> None:
        self._runs.pop(request_id, None)
        if self.stages.text is not None:
            self.stages.text.drop(request_id, sound=sound)

    def drop_run(self, request_id: str, number: int) -> None:
        run = self._runs.get(request_id)
        if run is not None and run.task.run == number:
            self.drop(request_id)

    def encode(self, task: EncodeTask) -> None:
        assert self.stages.encode is not None
        self.stages.encode.add(task)

    def share(self, threads: int, *, beside: bool) -> None:
        """`beside`: somebody who yields to this worker has work."""
        torch.set_num_threads(threads)
        if self.stages.text is not None:
            self.stages.text.beside = beside

    def forget(self, key: str, run: int) -> None:
        if self.stages.encode is not None:
            self.stages.encode.drop(key, run)

    def clear(self) -> None:
        """Give up all work: it was given to others."""
        for name in list(self._runs):
            self.drop(name)


def _delta(progress: text.Progress, start: int) -> Delta:
    assert progress.token_id is not None
    return Delta(
        request_id=progress.request_id,
        start=start,
        token_ids=(progress.token_id,),
        text=progress.text,
        logprobs=() if progress.logprobs is None else (progress.logprobs,),
    )


def _row(progress: text.Progress, run: _Run) -> Row:
    return Row(
        request_id=progress.request_id,
        run=run.task.run,
        emitted=len(run.emitted),
        prefilled=progress.prefilled,
        finish=progress.finish_reason or "",
    )
