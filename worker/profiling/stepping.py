"""Steps of the text stage that serves: a prefill chunk behind what is computed already, decodes
with a context each, or both. What lies behind them is random: KV decides no time."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from ...scheduler.costs.text import TextWork
from ...transport.messages import Sampling
from ..text.generation import TextStage
from ..text.text_work import StepResult, TextTask
from .timing import Run, Trial, timed

FEW = 16  # tokens behind the decode of the step before a prefill
LONGEST = 4  # tokens of an answer: it does not end within a trial


@dataclass(frozen=True, slots=True)
class StepShape:
    """A chunk is (tokens before it, its tokens); each decode has `context` tokens behind it."""

    chunk: tuple[int, int] | None = None
    decodes: int = 0
    context: int = 0

    @property
    def work(self) -> TextWork:
        chunks = () if self.chunk is None else (self.chunk,)
        return TextWork(chunks, self.decodes, self.decodes * self.context)

    @property
    def requests(self) -> list[int]:
        """The longest that each of its requests becomes, in tokens."""
        prefills = [] if self.chunk is None else [sum(self.chunk)]
        decodes = [self.context] * self.decodes or [FEW]
        return [one + LONGEST for one in (*prefills, *decodes)]

    def fits(self, stage: TextStage, context: int) -> bool:
        """Into the model's context, the KV pool and a step."""
        blocks = sum(stage.pool.blocks_for(tokens) for tokens in self.requests)
        return (
            max(self.requests) <= context
            and blocks <= stage.pool.tables.blocks
            and self.work.rows <= stage.pace.most_tokens
        )


def trials(
    stage: TextStage, vocabulary: int, context: int, shapes: Sequence[StepShape]
) -> Iterator[Trial]:
    stepper = Stepper(stage, vocabulary)
    for shape in shapes:
        if shape.fits(stage, context):
            yield Trial(shape.work, partial(stepper.time, shape))


class Stepper:
    def __init__(self, stage: TextStage, vocabulary: int) -> None:
        self._stage = stage
        self._ids = range(vocabulary * 9 // 10)  # special tokens lie at the end
        self._dice = random.Random(0)

    def time(self, shape: StepShape) -> Run:
        """One step, right behind another one, as steps follow each other when they
        serve: one of its decodes, or of a decode that has nothing to do with it."""
        stage = self._stage
        try:
            self._decode(shape.decodes or 1, shape.context or FEW)
            stage.step()
            if shape.chunk is None:
                return self._step(shape.decodes)
            if not shape.decodes:
                stage.drop("decode 0")
            self._prefill(*shape.chunk)
            return self._step(shape.work.rows)
        finally:
            for name in list(stage.sequences):
                stage.drop(name)

    def _step(self, rows: int) -> Run:
        results: list[StepResult] = []
        took = timed(lambda: results.append(self._stage.step()), self._stage.pool.device)
        if (got := results[0].prefill_tokens + results[0].decode_tokens) != rows:
            raise RuntimeError(f"expected a step of {rows} rows, got {got}")
        return took

    def _decode(self, count: int, context: int) -> None:
        for number in range(count):
            task = self._task(f"decode {number}", context)
            self._stage.adopt(task)
            self._stage.import_kv(task.request_id, 0, [self._kv(context)])
            self._stage.begin(task.request_id, [self._dice.choice(self._ids)])

    def _prefill(self, start: int, tokens: int) -> None:
        self._stage.admit(self._task("prefill", start + tokens))
        if start:
            self._stage.pool.load("prefill", 0, self._kv(start))
            self._stage.sequences["prefill"].advance(start)

    def _task(self, name: str, tokens: int) -> TextTask:
        sampling = Sampling(max_tokens=LONGEST, ignore_eos=True, seed=0)
        return TextTask(name, tuple(self._dice.choices(self._ids, k=tokens)), tokens, sampling, 0)

    def _kv(self, tokens: int) -> torch.Tensor:
        pool = self._stage.pool
        shape = pool.shape.layers, 2, pool.shape.kv_heads, tokens, pool.shape.head_dim
        return torch.randn(shape, dtype=pool.kv.dtype, device=pool.device)
