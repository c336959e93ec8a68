"""From the options of `bench` to what will be asked: arrivals, and what to know about them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import TextIO, TypeVar

import typer

from ..scheduler.workload import traces
from ..scheduler.workload.arrivals import Arrival, Mix, times
from ..scheduler.workload.draws import BadDraw, counts, lengths, sizes

T = TypeVar("T")
GZIP = b"\x1f\x8b"
SYNTHETIC_SIZE = "448x448"


class Unreadable(Exception):
    """One sentence."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Options of the command by their names, as they were typed."""

    num_prompts: int
    seed: int
    request_rate: float
    burstiness: float
    input_len: str
    output_len: str
    image_share: float
    images_per_request: str
    image_size: str | None
    trace: Path | None
    trace_scale: float
    max_input_len: int | None
    max_output_len: int | None


@dataclass(frozen=True, slots=True)
class Workload:
    arrivals: list[Arrival]
    notes: list[str]


def workload_of(wanted: Wanted) -> Workload:
    """Raises BadParameter, BadTrace or Unreadable."""
    made = _drawn(wanted) if wanted.trace is None else _traced(wanted, wanted.trace)
    return replace(made, arrivals=[_capped(arrival, wanted) for arrival in made.arrivals])


def _drawn(wanted: Wanted) -> Workload:
    mix = Mix(
        parsed(lengths, wanted.input_len, "--input-len"),
        parsed(lengths, wanted.output_len, "--output-len"),
        wanted.image_share,
        parsed(counts, wanted.images_per_request, "--images-per-request"),
        parsed(sizes, wanted.image_size or SYNTHETIC_SIZE, "--image-size"),
    )
    at_s = times(
        wanted.num_prompts,
        rate=wanted.request_rate,
        burstiness=wanted.burstiness,
        dice=Random(f"{wanted.seed} times"),
    )
    return Workload(mix.draw(at_s, Random(f"{wanted.seed} mix")), [])


def _traced(wanted: Wanted, path: Path) -> Workload:
    size = traces.SERVEGEN_SIZES
    if wanted.image_size is not None:
        size = parsed(sizes, wanted.image_size, "--image-size")
    notes = []
    with lines_of(path) as lines:
        form, found = traces.read(lines, size, Random(f"{wanted.seed} sizes"))
        arrivals = list(islice(found, wanted.num_prompts))
        if next(found, None) is not None:
            notes.append(f"{path.name}: the first {wanted.num_prompts} of its requests.")
    if form.has_sizes and wanted.image_size is not None:
        raise typer.BadParameter(f"expected no --image-size: {path.name} tells sizes, got one")
    if not form.has_sizes:
        how = wanted.image_size or "ServeGen's tokens per image, median 400, p90 1,224, as squares"
        notes.append(f"{form.name}: rows tell no image sizes, they are drawn: {how}.")
    scaled = [replace(one, at_s=one.at_s / wanted.trace_scale) for one in arrivals]
    return Workload(scaled, notes)


def _capped(arrival: Arrival, wanted: Wanted) -> Arrival:
    text, output = arrival.text_tokens, arrival.output_tokens
    return replace(
        arrival,
        text_tokens=min(text, wanted.max_input_len or text),
        output_tokens=min(output, wanted.max_output_len or output),
    )


@contextmanager
def lines_of(path: Path) -> Iterator[TextIO]:
    """Of a file that may be compressed. BadTrace, raised within, gets the file's name."""
    try:
        with path.open("rb") as file:
            packed = file.read(len(GZIP)) == GZIP
        with gzip.open(path, "rt") if packed else path.open() as lines:
            yield lines
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise Unreadable(f"cannot read the trace {path}: {error}") from error
    except traces.BadTrace as error:
        raise traces.BadTrace(f"{path}: {error}") from error


def parsed(read: Callable[[str], T], text: str, option: str) -> T:
    try:
        return read(text)
    except BadDraw as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
