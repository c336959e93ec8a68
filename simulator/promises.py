"""What a request is promised: a factor times what it takes alone on the monolith.

Per request, each is held against its own time: of the same text and the same pictures. Literally
(ModServe, SoCC 2025, section 5.1), all requests with images are held against one such request and
all others against another, so that a long prompt may be late even where nobody is in its way. The
paper names neither request, nor its factor; here they are the picture of its Table 1 and the median
lengths of its published trace (shared/data: context and generated tokens, and 1,105 for an image).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from ..scheduler.costs.gpus import Gpu
from ..scheduler.costs.roofline import PREPROCESS, derive, prompt_work
from ..scheduler.costs.spec import ModelSpec
from ..scheduler.costs.text import TextWork
from ..scheduler.slo.classes import STANDARD
from ..scheduler.slo.slo import Slo, met
from ..scheduler.workload.arrivals import Arrival as Asked
from ..scheduler.workload.draws import Size

TP = 4  # GPUs of the monolith (section 5.2), its tower's too
TEXT_REQUEST = Asked(0.0, text_tokens=792, output_tokens=145)
IMAGE_REQUEST = Asked(0.0, text_tokens=1422 - 1105, output_tokens=79, images=((896, 896),))
SHAPES = 16_384  # that are remembered


@dataclass(frozen=True, slots=True)
class Alone:
    """Seconds of a request that nobody is in the way of, whose prompt is one step."""

    image_s: float  # until its last image is encoded
    prefill_s: float
    tpot_s: float

    @property
    def ttft_s(self) -> float:
        return self.image_s + self.prefill_s


class Monolith:
    """One replica that does everything. Raises ValueError where the model does not fit on it."""

    def __init__(self, spec: ModelSpec, gpu: Gpu, tp: int = TP) -> None:
        costs = derive(spec, gpu, tp)
        assert costs.encode is not None and costs.text is not None
        self._spec, self._encode, self._text = spec, costs.encode, costs.text
        self._shape = lru_cache(SHAPES)(self._reckon)

    def alone(self, asked: Asked) -> Alone:
        return self._shape(asked.text_tokens, asked.output_tokens, asked.images)

    def _reckon(self, text_tokens: int, output_tokens: int, images: tuple[Size, ...]) -> Alone:
        """Pictures are preprocessed side by side and encoded as one batch."""
        spec = self._spec
        shapes = [spec.image(*size, len(images)) for size in images]
        work = prompt_work(spec, text_tokens, sum(shape.rows for shape in shapes))
        encoded_s = self._encode.seconds(sum(spec.encode_tokens(shape) for shape in shapes))
        prepared_s = max((PREPROCESS.seconds(across * down) for across, down in images), default=0)
        (seen, tokens), *_ = work.chunks
        context = seen + tokens + output_tokens // 2  # on average over the answer
        decoded_s = self._text.seconds(TextWork((), 1, context))
        return Alone(prepared_s + encoded_s, self._text.seconds(work), decoded_s)


Promise = Callable[[Asked], Slo]


def per_request(monolith: Monolith, factor: float) -> Promise:
    return lambda asked: _times(factor, monolith.alone(asked))


def literal(monolith: Monolith, factor: float) -> Promise:
    text = _times(factor, monolith.alone(TEXT_REQUEST))
    image = _times(factor, monolith.alone(IMAGE_REQUEST))
    return lambda asked: image if asked.images else text


PROMISES: dict[str, Callable[[Monolith, float], Promise]] = {
    "per-request": per_request,
    "literal": literal,
}


def promise(name: str) -> Callable[[Monolith, float], Promise]:
    """ValueError, with one sentence, for a name that is none."""
    if name not in PROMISES:
        raise ValueError(f"expected an SLO of {' or '.join(PROMISES)}, got {name!r}")
    return PROMISES[name]


def kept_alone(asked: Asked, slo: Slo, monolith: Monolith) -> bool:
    """Whether the promise can be kept with nobody in the way: the share is a ceiling."""
    alone = monolith.alone(asked)
    return met(slo, alone.ttft_s, alone.tpot_s)


def _times(factor: float, alone: Alone) -> Slo:
    """The class is told for its name alone."""
    return Slo(STANDARD, factor * alone.ttft_s, factor * alone.tpot_s, factor * alone.image_s)
