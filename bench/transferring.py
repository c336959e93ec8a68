"""Tensors between two processes, beside raw gloo: bench/transfer.py in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from .options import Options
from .report import Figure, compared

GOAL, GOAL_FROM = 0.80, 1_000_000  # bytes


class Size(msgspec.Struct, frozen=True):
    bytes: int
    raw_mb_s: list[float]
    one_mb_s: list[float]
    raw_eight_mb_s: list[float]
    eight_mb_s: list[float]


class Written(msgspec.Struct, frozen=True):
    """Of what transfer.py writes, the part that is read here."""

    sizes: dict[str, Size]


def measure(options: Options) -> list[Figure]:
    script = Path(__file__).with_name("transfer.py")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "transfer.json"
        command = [sys.executable, str(script), "--rounds", str(options.rounds(7))]
        subprocess.run(
            [*command, "--json", str(file)], check=True, stdout=subprocess.DEVNULL, timeout=600
        )
        written = msgspec.json.decode(file.read_bytes(), type=Written)
    return [figure for name, size in written.sizes.items() for figure in _figures(name, size)]


def _figures(name: str, size: Size) -> list[Figure]:
    goal = GOAL if size.bytes >= GOAL_FROM else None
    return [
        compared(f"{name}, {how}", "MB/s", rates, against, raw, goal=goal)
        for how, rates, against, raw in (
            ("one after another", size.one_mb_s, "raw gloo", size.raw_mb_s),
            ("eight under way", size.eight_mb_s, "raw, eight buffers", size.raw_eight_mb_s),
        )
    ]
