"""A request of a workload, as a simulation takes it."""

from __future__ import annotations

from dataclasses import dataclass

from ..scheduler.slo.slo import UNASKED, Slo
from ..scheduler.workload.arrivals import Arrival as Asked


@dataclass(frozen=True, slots=True)
class Arrival:
    """`contents`: a name for each image's content, where some come again and may be found in a
    cache; () where every image is another."""

    asked: Asked  # when, how many tokens, images by width and height
    slo: Slo = UNASKED  # what schedulers are told that it was promised
    contents: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        images, contents = len(self.asked.images), len(self.contents)
        if contents not in (0, images):
            raise ValueError(f"expected a content for each of {images} images, got {contents}")
