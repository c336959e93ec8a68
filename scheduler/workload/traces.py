"""Traces as CSV lines become arrivals. Which format it is, its columns tell.

Azure (the LMM inference trace of 2025): `context_tokens` INCLUDES the tokens of the images, 1,105
each where they are large (85 + 6 × 170 in the counting of the service it was taken from) and 85
at the least. They are taken off here, since the model that is asked counts its images itself.
`num_images` is the root of the published column, which is kept as `num_images_raw`. No row says
how large its images are: sizes are drawn.

ServeGen: text tokens alone, and the tokens of each image: a square of 28 × 28 pixels for each.

ModServe: what a controller has recorded (controller/served.py), text tokens alone, and the size of
each image. Its lines stand in the order in which requests ended, so all are read before the first.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import isfinite, log, sqrt

from .arrivals import Arrival
from .draws import SIDE, Dice, Draw, Size, squares

IMAGE_TOKENS, LEAST_IMAGE_TOKENS = 1105, 85  # Azure's, for one image
DIGITS = 9  # of a count: more are a mistake
MOST_S = 1e11  # a clock that began in 1970 has not come so far for another thousand years
MOST_IMAGES = 1000  # of a request
PATCH = 28  # pixels: the side of the square that ServeGen counts as one token
# ServeGen's tokens per image: median 400, 90th percentile 1,224; the side goes with their root
SERVEGEN_SIZES: Draw[Size] = squares(log(PATCH * sqrt(400)), log(1224 / 400) / 2 / 1.2815515655)


class BadTrace(ValueError):
    """One sentence that names line and column."""


@dataclass(frozen=True, slots=True)
class Format:
    name: str
    columns: tuple[str, ...]
    has_sizes: bool
    ordered: bool  # by arrival
    read: Callable[[Row, float, Draw[Size], Dice], Arrival]


class Row:
    """One line; raises BadTrace for what is no number in it."""

    def __init__(self, line: int, fields: dict[str, str]) -> None:
        self._line = line
        self._fields = fields

    def seconds(self, column: str, since_s: float = 0.0) -> float:
        try:
            value = float(self._fields[column])
        except ValueError:
            value = -1.0
        if not isfinite(value) or value < since_s:
            raise self.bad(column, f"a number of seconds, {since_s:g} or more")
        if value > MOST_S:
            raise self.bad(column, f"a number of seconds, {MOST_S:g} at most")
        return value

    def images(self) -> int:
        if (count := self.count("num_images")) > MOST_IMAGES:
            raise self.bad("num_images", f"at most {MOST_IMAGES} images of a request")
        return count

    def count(self, column: str) -> int:
        text = self._fields[column]
        if not _is_count(text):
            raise self.bad(column, f"a whole number of at most {DIGITS} digits")
        return int(text)

    def counts(self, column: str) -> list[int]:
        """`a|b|c`, or nothing at all."""
        parts = self._fields[column].split("|") if self._fields[column] else []
        if not all(map(_is_count, parts)):
            raise self.bad(column, "whole numbers like 252|6")
        return [int(part) for part in parts]

    def sizes(self, column: str) -> tuple[Size, ...]:
        """`640x480|448x448`, or nothing at all."""
        parts = self._fields[column].split("|") if self._fields[column] else []
        sizes = [part.split("x") for part in parts]
        if len(parts) > MOST_IMAGES or not all(map(_is_size, sizes)):
            raise self.bad(column, f"at most {MOST_IMAGES} sizes like 640x480|448x448")
        return tuple((int(width), int(height)) for width, height in sizes)

    def bad(self, column: str, expected: str) -> BadTrace:
        got = " ".join(self._fields[column].split())[:40] or "nothing"
        return BadTrace(f"line {self._line}, column {column}: expected {expected}, got {got}")


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= DIGITS


def _is_size(sides: list[str]) -> bool:
    return len(sides) == 2 and all(_is_count(side) and 0 < int(side) < 2**16 for side in sides)


def _azure(row: Row, at_s: float, size: Draw[Size], dice: Dice) -> Arrival:
    images, context = row.images(), row.count("context_tokens")
    large = context >= images * IMAGE_TOKENS
    text = context - images * (IMAGE_TOKENS if large else LEAST_IMAGE_TOKENS)
    output = row.count("generated_tokens")
    return Arrival(at_s, max(1, text), max(1, output), tuple(size(dice) for _ in range(images)))


def _servegen(row: Row, at_s: float, size: Draw[Size], dice: Dice) -> Arrival:
    tokens = row.counts("image_tokens_each")
    if len(tokens) != row.images():
        raise row.bad("image_tokens_each", "as many numbers as num_images says")
    sides = [max(1, min(SIDE, round(PATCH * sqrt(count)))) for count in tokens]
    text, output = row.count("text_tokens"), row.count("generated_tokens")
    return Arrival(at_s, max(1, text), max(1, output), tuple((side, side) for side in sides))


def _recorded(row: Row, at_s: float, size: Draw[Size], dice: Dice) -> Arrival:
    text, output = row.count("text_tokens"), row.count("generated_tokens")
    return Arrival(at_s, max(1, text), max(1, output), row.sizes("image_sizes"))


_SHARED = ("arrival_s", "num_images", "generated_tokens")
AZURE = Format("Azure LMM 2025", (*_SHARED, "context_tokens"), False, True, _azure)
SERVEGEN = Format("ServeGen", (*_SHARED, "text_tokens", "image_tokens_each"), True, True, _servegen)
RECORDED = Format(
    "ModServe",
    ("arrival_s", "text_tokens", "generated_tokens", "image_sizes"),
    True,
    False,
    _recorded,
)


FORMATS = (SERVEGEN, AZURE, RECORDED)


def read(lines: Iterable[str], size: Draw[Size], dice: Dice) -> tuple[Format, Iterator[Arrival]]:
    """Arrivals in order, the first at 0. `size` draws images where the format has no sizes.

    Raises BadTrace, for a bad row when the iterator comes to it.
    """
    rows = _rows(lines)
    _, head = next(rows, (0, []))
    if not head:
        raise BadTrace("expected a line that names the columns, got an empty trace")
    form, missing = min(
        ((form, [name for name in form.columns if name not in head]) for form in FORMATS),
        key=lambda one: len(one[1]),
    )
    if missing:
        raise BadTrace(f"line 1: expected a column {missing[0]}, got {', '.join(head)}")
    if not form.ordered:
        return form, _sorted(form, head, rows, size, dice)
    return form, _arrivals(form, head, rows, size, dice)


def _sorted(
    form: Format,
    head: list[str],
    rows: Iterator[tuple[int, list[str]]],
    size: Draw[Size],
    dice: Dice,
) -> Iterator[Arrival]:
    found = []
    for row in _named(head, rows):
        found.append(form.read(row, row.seconds("arrival_s"), size, dice))
    found.sort(key=lambda one: one.at_s)
    if not found:
        raise BadTrace("expected rows under the names of the columns, got none")
    yield from (replace(one, at_s=one.at_s - found[0].at_s) for one in found)


def _named(head: list[str], rows: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    for line, fields in rows:
        if len(fields) != len(head):
            raise BadTrace(f"line {line}: expected {len(head)} columns, got {len(fields)}")
        yield Row(line, dict(zip(head, fields, strict=True)))


def _arrivals(
    form: Format,
    head: list[str],
    rows: Iterator[tuple[int, list[str]]],
    size: Draw[Size],
    dice: Dice,
) -> Iterator[Arrival]:
    first_s: float | None = None
    last_s = 0.0
    for row in _named(head, rows):
        last_s = row.seconds("arrival_s", last_s)
        first_s = last_s if first_s is None else first_s
        yield form.read(row, last_s - first_s, size, dice)
    if first_s is None:
        raise BadTrace("expected rows under the names of the columns, got none")


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields), without empty lines."""
    reader = csv.reader(lines, strict=True)
    try:
        for fields in reader:
            if fields:
                yield reader.line_num, fields
    except csv.Error as error:
        raise BadTrace(
            f"line {reader.line_num}: expected comma-separated values: {error}"
        ) from error
