"""Rows under headings, as wide as their cells; what does not fit is left out, by rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    heading: str
    cells: Sequence[str | Text]
    right: bool = True
    rank: int = 0  # the highest goes first where there is no room; 0 stays

    @property
    def width(self) -> int:
        return max(cell_len(self.heading), *(cell_len(str(cell)) for cell in self.cells), 0)


def lay_out(columns: Sequence[Column], width: int) -> list[Text]:
    """The headings, then a line for each row, none wider than `width`."""
    shown = list(columns)
    while _width(shown) > width and any(column.rank for column in shown):
        shown.remove(max(shown, key=lambda column: column.rank))
    lines = [_line([Text(one.heading, "bold") for one in shown], shown)]
    for cells in zip(*(column.cells for column in shown), strict=True):
        lines.append(_line(cells, shown))
    return [cut(line, width) for line in lines]


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width + GAP for column in columns) - GAP


def _line(cells: Sequence[str | Text], columns: Sequence[Column]) -> Text:
    line = Text()
    for cell, column in zip(cells, columns, strict=True):
        room = Text(" " * (column.width - cell_len(str(cell))))
        told = cell if isinstance(cell, Text) else Text(cell)
        line += room + told if column.right else told + room
        line += Text(" " * GAP)
    line.rstrip()
    return line


def cut(line: Text, width: int) -> Text:
    line.truncate(max(0, width))
    line.no_wrap = True
    return line
