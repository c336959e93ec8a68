"""What every part of the benchmark is told."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    folder: Path  # of the checkpoint
    threads: int
    quick: bool  # a try of the benchmark itself: its numbers are noise

    def rounds(self, whole: int) -> int:
        return 1 if self.quick else whole


def some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """For argparse: names with commas between them, in the order of `known` however they came."""
    names = list(known)

    def read(text: str) -> list[str]:
        named = text.split(",")
        if unknown := [name for name in named if name not in names]:
            raise ArgumentTypeError(f"expected {', '.join(names)}, got {', '.join(unknown)}")
        return [name for name in names if name in named]

    return read
