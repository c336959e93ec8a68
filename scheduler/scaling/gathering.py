"""What arrives and what waits, counted in constant memory: the traffic and backlog of PoolLoads.

Image tokens are known when a request arrives, from the sizes of its pictures, so the text pool
hears of an image burst before the first picture of it is encoded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from ..stage import Stage
from .loads import Traffic


class Measure(StrEnum):
    """The tokens that make the work of a pool."""

    IMAGE = "image"
    TEXT = "text"
    TOTAL = "total"


# How often an image token counts, and a text token.
WEIGHTS = {Measure.IMAGE: (1, 0), Measure.TEXT: (0, 1), Measure.TOTAL: (1, 1)}


def measure_of(stages: frozenset[Stage], *, cross_attention: bool) -> Measure:
    """Image tokens for encode; elsewhere prompt tokens, without those of images where a model
    attends to them across. A decode pool counts the prompts whose answers it makes."""
    if stages == {Stage.ENCODE}:
        return Measure.IMAGE
    if cross_attention and Stage.ENCODE not in stages:
        return Measure.TEXT
    return Measure.TOTAL


@dataclass(frozen=True, slots=True)
class Gathered:
    traffic: Traffic
    backlog: float


class Gathering:
    def __init__(self, bucket_s: float = 1.0, buckets: int = 300) -> None:
        """Remembers `buckets` of `bucket_s` each: five minutes, the longest that a policy asks."""
        if not bucket_s > 0 or buckets < 1:
            raise ValueError(f"expected buckets longer than 0 s, got {buckets} of {bucket_s:g} s")
        self.bucket_s = bucket_s
        self._past: deque[tuple[int, int]] = deque(maxlen=buckets)  # (image, text) tokens of each
        self._image, self._text = 0, 0  # of the bucket that is open
        self._bucket: int | None = None  # its number; None: nothing was told yet
        self._waiting_image, self._waiting_prompt_image, self._waiting_text = 0, 0, 0

    def arrived(self, now: float, image_tokens: int, text_tokens: int) -> None:
        """A request was admitted; `text_tokens` of its prompt without those of its images."""
        self._turn(now)
        self._image += image_tokens
        self._text += text_tokens
        self._waiting_image += image_tokens
        self._waiting_prompt_image += image_tokens
        self._waiting_text += text_tokens

    def encoded(self, image_tokens: int) -> None:
        """So many need no encoding any more: done, found in a cache, or given up."""
        self._waiting_image = max(0, self._waiting_image - image_tokens)

    def prefilled(self, image_tokens: int, text_tokens: int) -> None:
        """So many of a prompt need no prefill any more: done, found in a cache, or given up."""
        self._waiting_prompt_image = max(0, self._waiting_prompt_image - image_tokens)
        self._waiting_text = max(0, self._waiting_text - text_tokens)

    def snapshot(self, now: float, measure: Measure) -> Gathered:
        """The buckets that are full by now, and what waits."""
        self._turn(now)
        ended_s = (self._bucket or 0) * self.bucket_s
        image, text = WEIGHTS[measure]
        rates = [(image * images + text * texts) / self.bucket_s for images, texts in self._past]
        return Gathered(Traffic(ended_s, self.bucket_s, tuple(rates)), self._backlog(measure))

    def _turn(self, now: float) -> None:
        """Closes the buckets that ended. A clock that steps back goes on in the open one."""
        bucket = int(now // self.bucket_s)
        if self._bucket is None:
            self._bucket = bucket
        gone = bucket - self._bucket
        if gone <= 0:
            return
        self._past.append((self._image, self._text))
        self._past.extend((0, 0) for _ in range(min(gone - 1, self._past.maxlen or 0)))
        self._image, self._text, self._bucket = 0, 0, bucket

    def _backlog(self, measure: Measure) -> float:
        if measure is Measure.IMAGE:
            return self._waiting_image
        image, text = WEIGHTS[measure]
        return image * self._waiting_prompt_image + text * self._waiting_text
