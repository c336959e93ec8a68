"""A figure is never alone: beside it stands a floor or a rival, measured in the same run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from msgspec import Struct, json
from rich.console import Console
from rich.table import Table

from .machine import Machine


class Figure(Struct, frozen=True, omit_defaults=True):
    name: str
    value: float
    unit: str
    against: str = ""  # what it is compared with
    reference: float | None = None  # its value, in the same unit
    ratio: float | None = None  # value / reference; the median over rounds where there were several
    goal: float | None = None  # the least ratio
    note: str = ""

    @property
    def met(self) -> bool:
        return self.goal is None or (self.ratio is not None and self.ratio >= self.goal)


class Part(Struct, frozen=True):
    title: str
    took_s: float
    figures: Sequence[Figure]


class Report(Struct, frozen=True):
    machine: Machine
    settings: Mapping[str, int | bool | str]
    parts: Mapping[str, Part]

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(json.format(json.encode(self), indent=2) + b"\n")


def compared(
    name: str,
    unit: str,
    values: Sequence[float],
    against: str,
    references: Sequence[float],
    *,
    goal: float | None = None,
    note: str = "",
) -> Figure:
    """Medians of rounds that alternate between the two, and the median of their ratios."""
    return Figure(
        name,
        median(values),
        unit,
        against,
        median(references),
        median(value / ref for value, ref in zip(values, references, strict=True)),
        goal,
        note,
    )


def show(part: Part, console: Console) -> None:
    table = Table(title=f"{part.title} ({part.took_s:.0f} s)", title_justify="left")
    for heading in ("", "measured", "against", "its value", "ratio", "goal"):
        right = heading in ("measured", "its value", "ratio", "goal")
        table.add_column(heading, justify="right" if right else "left")
    for figure in part.figures:
        table.add_row(*_cells(figure))
    console.print(table)


def _cells(figure: Figure) -> list[str]:
    colour = "green" if figure.met else "red"
    goal = "" if figure.goal is None else f"[{colour}]≥ {figure.goal:.2f}[/]"
    name = f"{figure.name} [dim]{figure.note}[/]" if figure.note else figure.name
    reference = "" if figure.reference is None else amount(figure.reference, figure.unit)
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return [name, amount(figure.value, figure.unit), figure.against, reference, ratio, goal]


def amount(value: float, unit: str) -> str:
    """Three digits or all before the point."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f} {unit}"
