"""All costs of one replica."""

from __future__ import annotations

from dataclasses import dataclass

from .encode import EncodeCost, PreprocessCost
from .text import TextCost


@dataclass(frozen=True, slots=True)
class LinkCost:
    """Of a tensor from one replica to another."""

    latency_s: float
    byte_s: float

    def seconds(self, size: int) -> float:
        return self.latency_s + self.byte_s * size


@dataclass(frozen=True, slots=True)
class Costs:
    """None: its stages lack that component."""

    preprocess: PreprocessCost | None = None
    encode: EncodeCost | None = None
    text: TextCost | None = None
    link: LinkCost = LinkCost(0.0, 0.0)
