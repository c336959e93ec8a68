"""The encode stage: pictures that wait, taken in batches up to a budget of image tokens."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..scheduler.pacing import ImagePace
from .families.vision import Pixels, VisionHalf

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EncodeTask:
    key: str
    run: int
    pixels: Pixels
    image_tokens: int  # rows of the embedding, which the tower's time follows


@dataclass(frozen=True, slots=True)
class Encoding:
    """The answer to one task: rows of embedding, or why there are none."""

    key: str
    run: int
    rows: Tensor | None
    error: str = ""


class EncodeStage:
    """First come, first served; an image larger than the budget runs alone."""

    def __init__(self, half: VisionHalf, step_image_tokens: int) -> None:
        self._half = half
        self.pace = ImagePace(step_image_tokens)
        self._waiting: deque[EncodeTask] = deque()
        self.image_tokens = 0  # encoded since the start

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, task: EncodeTask) -> None:
        self._waiting.append(task)

    def drop(self, key: str, run: int) -> None:
        """Forget a task that has not begun."""
        kept = [task for task in self._waiting if (task.key, task.run) != (key, run)]
        self._waiting = deque(kept)

    def step(self) -> list[Encoding]:
        """Encode one batch; an empty list where nothing waits."""
        batch = self._next_batch()
        if not batch:
            return []
        begun, tokens = time.perf_counter(), sum(task.image_tokens for task in batch)
        made = self._encode(batch)
        self.pace.took(tokens, time.perf_counter() - begun)
        self.image_tokens += tokens
        return made

    def _next_batch(self) -> list[EncodeTask]:
        batch: list[EncodeTask] = []
        left = self.pace.budget()
        while self._waiting and (not batch or self._waiting[0].image_tokens <= left):
            batch.append(self._waiting.popleft())
            left -= batch[-1].image_tokens
        return batch

    def _encode(self, batch: Sequence[EncodeTask]) -> list[Encoding]:
        try:
            with torch.inference_mode():
                rows = self._half.encode([task.pixels for task in batch])
        except Exception as error:  # the border of an image: it is answered in any case
            if len(batch) > 1:  # one image must not take the others down with it
                return [one for task in batch for one in self._encode([task])]
            log.exception("encoding failed")
            return [Encoding(batch[0].key, batch[0].run, None, f"encoding failed: {error}")]
        return [
            Encoding(task.key, task.run, own(tensor))
            for task, tensor in zip(batch, rows, strict=True)
        ]


def own(tensor: Tensor) -> Tensor:
    """The rows without the batch that they were computed in, which a view would keep alive."""
    if tensor.untyped_storage().nbytes() > tensor.nbytes:
        return tensor.clone()
    return tensor.contiguous()
