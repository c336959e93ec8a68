"""What the two loads with images could reach at best on these cores, whoever serves them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from . import arithmetic
from .driving import stages
from .machine import matmul_rate, read_rate
from .pictures import TILES

PROMPT, TEXT, TOKENS = 1390, 96, 48
IMAGE_SHARE, AT_ONCE = 0.4, 4
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Floors:
    """Seconds of all cores, if encode and prefill run at the rate of a plain matrix product and a
    decode step of `AT_ONCE` as fast as its weights can be read."""

    gflops: float
    gbytes: float
    encode_s: float
    image_prefill_s: float
    text_prefill_s: float
    decode_s: float  # of one request's tokens

    @classmethod
    def measure(cls, folder: Path) -> Floors:
        made = stages(folder, threads=torch.get_num_threads())
        assert made.text is not None
        text, head = made.text.half.text, made.text.lm_head
        flops, reads = matmul_rate(CPU, torch.float32), read_rate(CPU)
        step_s = arithmetic.step_seconds(text, head, AT_ONCE, flops=flops, reads=reads)
        return cls(
            flops / 1e9,
            reads / 1e9,
            arithmetic.encode_flops(made.vision, TILES) / flops,
            arithmetic.prefill_flops(text, PROMPT) / flops,
            arithmetic.prefill_flops(text, TEXT) / flops,
            (TOKENS - 1) * step_s / AT_ONCE,
        )

    def of(self, load: str) -> float | None:
        """Requests a second at best."""
        image_s = self.encode_s + self.image_prefill_s + self.decode_s
        text_s = self.text_prefill_s + self.decode_s
        if load == "image":
            return 1 / image_s
        if load == "rate":
            return 1 / (IMAGE_SHARE * image_s + (1 - IMAGE_SHARE) * text_s)
        return None

    def __str__(self) -> str:
        return (
            f"matrix product {self.gflops:.0f} GFLOP/s, reading {self.gbytes:.1f} GB/s; "
            f"encode {self.encode_s:.2f} s, prefill {self.image_prefill_s:.2f} s an image"
        )

    def told(self) -> dict[str, Any]:
        return asdict(self)
