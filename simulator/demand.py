"""What a workload asks of each stage, reckoned from the cost models without running anything.

An estimate that ranks layouts, not a promise: nobody waits in it. A worker's seconds for the
average request are

    encode   tokens * (token + fixed / tokens of a batch)
    prefill  rows * (step of the most tokens / the most tokens) + pairs * pair
    decode   tokens * (step of B decodes / B), B as many as the KV blocks allow, and the TPOT that
             is promised on average
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from math import inf
from statistics import fmean

from ..scheduler.costs.encode import EncodeCost
from ..scheduler.costs.gpus import Gpu
from ..scheduler.costs.roofline import PREPROCESS, encode_cost, prompt_work, text_cost
from ..scheduler.costs.spec import ModelSpec
from ..scheduler.costs.text import TextCost, TextWork
from ..scheduler.slo.slo import met
from ..scheduler.stage import Stage
from ..scheduler.workload.arrivals import Arrival as Asked
from .cluster import TEXT, Scheduling, group
from .layout import Layout, Part
from .promises import Promise

EVERYTHING = frozenset(Stage)
MOST_DECODES = 4096  # in one step
TPS = (1, 2, 4, 8)  # GPUs of a worker


class Demand:
    def __init__(
        self,
        spec: ModelSpec,
        gpu: Gpu,
        asked: Sequence[Asked],
        promise: Promise,
        scheduling: Scheduling,
    ) -> None:
        """`asked`: at least one request."""
        self.spec, self.gpu = spec, gpu
        self._asked, self._scheduling = asked, scheduling
        self._slos = [promise(one) for one in asked]
        self._image_tokens = [self._tokens_of(one) for one in asked]
        self._prompts = [self._prompt_of(one) for one in asked]
        self._answers = fmean(max(0, one.output_tokens - 1) for one in asked)
        self._per_request = cache(self._reckon)
        self._firsts = cache(self._prefilled_alone)
        self._towers = cache(self._encoded_alone)
        self._gaps = cache(self._gap_alone)

    @property
    def has_images(self) -> bool:
        return any(one.images for one in self._asked)

    def fits(self, stages: frozenset[Stage], tp: int) -> bool:
        try:
            group(self.spec, self.gpu, stages, 1, tp)
        except ValueError:
            return False
        return True

    def check_fits(self) -> None:
        """ValueError, with one sentence, where no worker that is looked at holds the model."""
        most = max(tp for tp in TPS if not self.spec.language.heads % tp)
        group(self.spec, self.gpu, TEXT, 1, most)
        if self.has_images:
            group(self.spec, self.gpu, (Stage.ENCODE,), 1, most)

    def seconds(self, part: Part, stages: frozenset[Stage] = EVERYTHING) -> float:
        """Of one worker of the part, for the average request's share of those stages."""
        one = replace(part, count=1)
        return sum(self._per_request(stage, one) for stage in stages & part.stages)

    def rate(self, layout: Layout) -> float:
        """Requests a second, at most. A specialist beside workers that do everything is worth as
        many of them as it saves."""
        if len(layout) == 2 and layout[0].stages == EVERYTHING:
            return self._mixed(*layout)
        return min(_per_second(part.count, self.seconds(part)) for part in layout)

    def _mixed(self, whole: Part, special: Part) -> float:
        saved = self.seconds(whole, special.stages)
        rest = self.seconds(whole) - saved
        worth = saved / self.seconds(special) if saved else 0.0
        together = _per_second(whole.count + special.count * worth, rest + saved)
        return min(together, _per_second(whole.count, rest))

    def kept_alone(self, layout: Layout) -> float:
        """The share of the requests whose promise can be kept with nobody in the way, at most: each
        picture on an encoder of its own, the prompt in one step."""
        towers = [self._towers(_tower(part)) for part in _able(layout, Stage.ENCODE)]
        prefills = [self._firsts(part.tp) for part in _able(layout, Stage.PREFILL)]
        gaps = [self._gaps(part.tp) for part in _able(layout, Stage.DECODE)]
        kept = 0
        for place, slo in enumerate(self._slos):
            image_s = min((one[place] for one in towers), default=0.0)
            ttft_s = image_s + min(one[place] for one in prefills)
            kept += met(slo, ttft_s, min(one[place] for one in gaps))
        return kept / len(self._slos)

    def _tokens_of(self, asked: Asked) -> list[int]:
        spec, count = self.spec, len(asked.images)
        return [spec.encode_tokens(spec.image(*size, count)) for size in asked.images]

    def _prompt_of(self, asked: Asked) -> TextWork:
        spec, count = self.spec, len(asked.images)
        rows = sum(spec.image_tokens(*size, count) for size in asked.images)
        return prompt_work(spec, asked.text_tokens, rows)

    def _reckon(self, stage: Stage, part: Part) -> float:
        if stage is Stage.ENCODE:
            return self._encode_s(encode_cost(self.spec, self.gpu, _tower(part)))
        cost = text_cost(self.spec.language, self.gpu, part.tp)
        return self._prefill_s(cost) if stage is Stage.PREFILL else self._decode_s(cost, part)

    def _encode_s(self, cost: EncodeCost) -> float:
        token_s = cost.token_s + cost.fixed_s / self._scheduling.step_image_tokens
        return fmean(sum(tokens) * token_s for tokens in self._image_tokens)

    def _prefill_s(self, cost: TextCost) -> float:
        most = self._scheduling.step_tokens
        row_s = cost.seconds(TextWork((), most)) / most
        return fmean(work.rows * row_s + work.pairs * cost.pair_s for work in self._prompts)

    def _decode_s(self, cost: TextCost, part: Part) -> float:
        context = self._context
        size = self._scheduling.block_size
        blocks = group(self.spec, self.gpu, part.stages, 1, part.tp, block_size=size).kv_blocks
        most = min(MOST_DECODES, int(blocks * size / context))
        promised_s = fmean(slo.tpot_s for slo in self._slos)
        if most < 1:
            return inf
        low, high = 1, most  # one goes in any case: `kept_alone` says whether it may
        while low < high:
            middle = (low + high + 1) // 2
            together_s = cost.seconds(TextWork((), middle, round(middle * context)))
            low, high = (middle, high) if together_s <= promised_s else (low, middle - 1)
        return self._answers * cost.seconds(TextWork((), low, round(low * context))) / low

    @property
    def _context(self) -> float:
        """Tokens that the average decode reads, on average over its answer."""
        asked = zip(self._prompts, self._asked, strict=True)
        return max(1.0, fmean(_seen(work) + one.output_tokens / 2 for work, one in asked))

    def _encoded_alone(self, tp: int) -> list[float]:
        cost = encode_cost(self.spec, self.gpu, tp)
        return [
            max(map(cost.seconds, tokens), default=0.0)
            + max((PREPROCESS.seconds(w * h) for w, h in one.images), default=0.0)
            for tokens, one in zip(self._image_tokens, self._asked, strict=True)
        ]

    def _prefilled_alone(self, tp: int) -> list[float]:
        cost = text_cost(self.spec.language, self.gpu, tp)
        return [cost.seconds(work) for work in self._prompts]

    def _gap_alone(self, tp: int) -> list[float]:
        cost = text_cost(self.spec.language, self.gpu, tp)
        return [
            cost.seconds(TextWork((), 1, _seen(work))) if one.output_tokens > 1 else 0.0
            for work, one in zip(self._prompts, self._asked, strict=True)
        ]


def _tower(part: Part) -> int:
    return part.encode_tp or part.tp


def _able(layout: Layout, stage: Stage) -> list[Part]:
    return [part for part in layout if stage in part.stages]


def _seen(work: TextWork) -> int:
    return sum(before + tokens for before, tokens in work.chunks)


def _per_second(workers: float, seconds: float) -> float:
    return workers / seconds if seconds else inf
