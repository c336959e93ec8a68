"""Requests as numbers: when, how many tokens, which images; and when they come at a given rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import isinf

from .draws import Dice, Draw, Size


@dataclass(frozen=True, slots=True)
class Arrival:
    at_s: float  # since the first possible moment of the workload
    text_tokens: int  # of the prompt, without those of its images
    output_tokens: int
    images: tuple[Size, ...] = ()


@dataclass(frozen=True, slots=True)
class Mix:
    """What requests are made of where no trace says it."""

    text_tokens: Draw[int]
    output_tokens: Draw[int]
    image_share: float  # of the requests: so many have images, to the nearest one
    images: Draw[int]  # how many such a request has
    size: Draw[Size]

    def draw(self, times_s: Sequence[float], dice: Dice) -> list[Arrival]:
        places = range(len(times_s))
        chosen = set(dice.sample(places, round(self.image_share * len(places))))
        return [self._one(times_s[place], place in chosen, dice) for place in places]

    def stream(self, times_s: Iterable[float], dice: Dice) -> Iterator[Arrival]:
        """One for each time, when it is asked for; which of them have images is drawn as well."""
        weights = (self.image_share, 1.0 - self.image_share)
        for at_s in times_s:
            yield self._one(at_s, dice.choices((True, False), weights)[0], dice)

    def _one(self, at_s: float, with_images: bool, dice: Dice) -> Arrival:
        text, output = self.text_tokens(dice), self.output_tokens(dice)
        count = self.images(dice) if with_images else 0
        return Arrival(at_s, text, output, tuple(self.size(dice) for _ in range(count)))


def times(count: int, *, rate: float, burstiness: float, dice: Dice) -> list[float]:
    """Seconds at which `count` requests come, `rate` a second; at an infinite rate all at 0.

    Gaps are gamma distributed with shape `burstiness`: 1 is a Poisson process, less comes in
    bursts, more is more even, infinite quite even. As in `vllm bench serve` the whole is
    stretched so that the last one comes at count / rate: a short run has the asked rate, too.
    """
    if isinf(rate) or not count:
        return [0.0] * count
    even = isinf(burstiness)
    gaps = [1.0 if even else dice.gammavariate(burstiness, 1.0) for _ in range(count)]
    at_s = list(accumulate(gaps))
    if at_s[-1] == 0.0:  # so bursty that nothing is left of the gaps
        return [count / rate] * count
    return [one / at_s[-1] * (count / rate) for one in at_s]
