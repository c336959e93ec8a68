"""How a system divides GPUs among the roles of its workers: as somebody did, or by their work.

The work of a request is what its stages compute where they are always busy, in GPU-seconds: encode
batches are full, a prompt is one chunk of many, and a decode shares the reading of the weights with
BESIDE others. Images come in bursts of their own, so each stage is given GPUs for its own busiest
minute: by the work of a whole trace, encoders that are hardly used on average are late in a burst.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from ..scheduler.costs.gpus import Gpu
from ..scheduler.costs.roofline import encode_cost, prompt_work, text_cost
from ..scheduler.costs.spec import ModelSpec
from ..scheduler.costs.text import TextCost, TextWork
from ..scheduler.workload.arrivals import Arrival as Asked
from .layout import Share

BESIDE = 32  # decodes in a step
SAMPLE = 20_000  # requests that are looked at
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """GPU-seconds of a workload."""

    encode: float
    text: float

    @property
    def encode_share(self) -> float:
        return self.encode / (self.encode + self.text)


class Split(Protocol):
    """How GPUs are divided for a model and a workload, whatever their number."""

    def shares(self, spec: ModelSpec, gpu: Gpu, arrivals: Iterable[Asked]) -> Sequence[Share]:
        """Raises ValueError where the model does not divide so."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same for all of them."""

    parts: tuple[Share, ...]

    def shares(self, spec: ModelSpec, gpu: Gpu, arrivals: Iterable[Asked]) -> Sequence[Share]:
        return self.parts


@dataclass(frozen=True, slots=True)
class ByWork:
    """As much for text and for encoders as they have to do."""

    text_tp: int
    encode_tp: int

    def shares(self, spec: ModelSpec, gpu: Gpu, arrivals: Iterable[Asked]) -> Sequence[Share]:
        work = work_of(spec, gpu, arrivals, encode_tp=self.encode_tp, text_tp=self.text_tp)
        part = work.encode_share
        return Share("text", 1 - part, self.text_tp), Share("encode", part, self.encode_tp)


def work_of(
    spec: ModelSpec, gpu: Gpu, arrivals: Iterable[Asked], *, encode_tp: int, text_tp: int
) -> Work:
    """Of each stage's own busiest minute among the first SAMPLE requests. Raises ValueError where
    the model does not divide so."""
    encode = encode_cost(spec, gpu, encode_tp)
    text = text_cost(spec.language, gpu, text_tp)
    minutes: dict[int, Work] = {}
    for asked in islice(arrivals, SAMPLE):
        shapes = [spec.image(*size, len(asked.images)) for size in asked.images]
        encode_s = encode.token_s * sum(spec.encode_tokens(shape) for shape in shapes)
        text_s = _text_s(spec, text, asked, sum(shape.rows for shape in shapes))
        minute = int(asked.at_s // MINUTE_S)
        before = minutes.get(minute, Work(0.0, 0.0))
        minutes[minute] = Work(before.encode + encode_s * encode_tp, before.text + text_s * text_tp)
    return Work(
        max((one.encode for one in minutes.values()), default=0.0),
        max((one.text for one in minutes.values()), default=0.0),
    )


def _text_s(spec: ModelSpec, cost: TextCost, asked: Asked, rows: int) -> float:
    work = prompt_work(spec, asked.text_tokens, rows)
    ((seen, tokens),) = work.chunks
    prefill_s = cost.row_s * tokens + cost.pair_s * work.pairs
    context = seen + tokens + asked.output_tokens // 2
    step_s = cost.seconds(TextWork((), BESIDE, BESIDE * context)) / BESIDE
    return prefill_s + step_s * asked.output_tokens
