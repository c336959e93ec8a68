"""What every part of the benchmark is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    folder: Path  # of the checkpoint
    threads: int
    quick: bool  # a try of the benchmark itself: its numbers are noise

    def rounds(self, whole: int) -> int:
        return 1 if self.quick else whole
