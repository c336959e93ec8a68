"""Preprocessing and encoding: linear in pixels and in image tokens (ModServe, SoCC 2025, section 3:
both latencies are linear in the batch, and batching gains no throughput)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PreprocessCost:
    """Of one picture on one CPU thread."""

    fixed_s: float
    pixel_s: float

    def seconds(self, pixels: int) -> float:
        return self.fixed_s + self.pixel_s * pixels


@dataclass(frozen=True, slots=True)
class EncodeCost:
    fixed_s: float  # of a batch
    token_s: float  # of an image token

    def seconds(self, image_tokens: int) -> float:
        """Of one batch with so many image tokens."""
        return self.fixed_s + self.token_s * image_tokens if image_tokens else 0.0

    @property
    def tokens_per_s(self) -> float:
        """The most that one replica can encode."""
        return 1 / self.token_s
