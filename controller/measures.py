"""How long requests took, by modality: counted once, when they have ended.

A request costs some ten additions here. What is made of them (quantiles, an exposition) is made
by whoever asks for the status, in a process of its own.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..scheduler.media import ItemPhase, MediaItem
from ..scheduler.request import Phase, Request
from ..scheduler.slo.outcome import Modality
from ..transport.messages import Timing
from .histograms import SECONDS, TOKENS, Histogram

# names and meanings of vLLM, those of images of SGLang; docs/metrics.md has the formulas
OF_TIMING = {
    "time_to_first_token_seconds": "ttft_s",
    "e2e_request_latency_seconds": "total_s",
    "request_prepare_time_seconds": "prepare_s",
    "request_queue_time_seconds": "queue_s",
    "request_prefill_time_seconds": "prefill_s",
    "request_transfer_time_seconds": "transfer_s",
    "request_decode_time_seconds": "decode_s",
}
GAPS = "inter_token_latency_seconds"
TPOT = "request_time_per_output_token_seconds"
PROMPT, ANSWER = "request_prompt_tokens", "request_generation_tokens"
ENCODE = "request_encode_time_seconds"
ENCODER = "encoder_request_seconds"


class Measures:
    """Counts since the start, of requests that finished; `ends` of all that ended."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self._of = {modality: _histograms(modality) for modality in Modality}

    def ended(self, request: Request, told: Timing, reason: str) -> None:
        """`reason`: how it ended, in one word."""
        self.ends[reason] += 1
        if request.phase is not Phase.DONE:
            return
        of = self._of[Modality.IMAGE if request.media else Modality.TEXT]
        for name, field in OF_TIMING.items():
            if (seconds := getattr(told, field)) is not None:
                of[name].add(seconds)
        of[PROMPT].add(request.prompt_tokens)
        of[ANSWER].add(request.emitted)
        if told.ttft_s is not None and request.emitted > 1:
            gap = (told.total_s - told.ttft_s) / (request.emitted - 1)
            of[TPOT].add(gap)
            of[GAPS].add(gap, request.emitted - 1)
        if request.media:
            of[ENCODE].add(told.encode_s)
            for item in request.media:
                _count_image(of, item)

    def report(self) -> dict[str, Any]:
        """For each histogram its bounds, and for each modality that it has counts and sum."""
        told: dict[str, Any] = {}
        for modality, histograms in self._of.items():
            for name, one in histograms.items():
                told.setdefault(name, {"bounds": one.bounds})[modality.value] = one.told()
        return told


def _histograms(modality: Modality) -> dict[str, Histogram]:
    made = {name: Histogram(SECONDS) for name in (*OF_TIMING, GAPS, TPOT)}
    made |= {name: Histogram(TOKENS) for name in (PROMPT, ANSWER)}
    if modality is Modality.IMAGE:
        made |= {name: Histogram(SECONDS) for name in (ENCODE, ENCODER)}
    return made


def _count_image(of: dict[str, Histogram], item: MediaItem) -> None:
    """One whose embedding was there already was not encoded."""
    begun, ready = item.entered(ItemPhase.ENCODING), item.entered(ItemPhase.READY)
    if begun is not None and ready is not None and ready >= begun:
        of[ENCODER].add(ready - begun)
