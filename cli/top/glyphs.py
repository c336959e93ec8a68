"""Small pictures of numbers: lines of eight levels, and bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glyphs:
    levels: str  # the lowest first
    full: str
    empty: str
    mark: str  # of the selected row
    dot: str  # between two facts
    more: str  # what was cut off


BLOCKS = Glyphs("▁▂▃▄▅▆▇█", "█", "░", "▸", "·", "…")
ASCII = Glyphs("_.,-=+*#", "#", ".", ">", "-", "~")


def glyphs_for(encoding: str) -> Glyphs:
    """Those that a terminal of this encoding can show."""
    return BLOCKS if encoding.lower().startswith("utf") else ASCII


def spark(values: Sequence[float | None], width: int, glyphs: Glyphs) -> str:
    """The last `width` values, the highest of them at the top; a gap where there is none."""
    shown = values[-width:]
    top = max((value for value in shown if value is not None), default=0.0)
    steps = len(glyphs.levels) - 1
    line = "".join(
        " " if value is None else glyphs.levels[round(value / top * steps) if top else 0]
        for value in shown
    )
    return line.rjust(width)


def bar(share: float, width: int, glyphs: Glyphs) -> str:
    """Whatever is above nothing shows."""
    filled = min(width, max(round(share * width), 1 if share > 0 else 0))
    return glyphs.full * filled + glyphs.empty * (width - filled)
