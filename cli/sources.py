"""Requests that a simulation asks for one by one, as often as it begins: of a trace, or drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import inf
from pathlib import Path
from random import Random

import typer

from ..scheduler.workload import traces
from ..scheduler.workload.arrivals import Arrival, Mix
from ..scheduler.workload.draws import Draw, Size, counts, lengths, sizes
from ..scheduler.workload.streaming import cycled, endless, window
from .options import seconds
from .workloads import SYNTHETIC_SIZE, lines_of, parsed

DRAWN = 1000  # requests, where nobody says how many


@dataclass(frozen=True, slots=True)
class Wanted:
    """Options of the command by their names, as they were typed."""

    seed: int
    trace: Path | None
    start: str | None
    duration: str | None
    num_prompts: int | None
    request_rate: float
    burstiness: float
    input_len: str
    output_len: str
    image_share: float
    images_per_request: str
    image_size: str | None


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    begin: Callable[[], Iterator[Arrival]]  # raises BadTrace or Unreadable, at a bad row
    notes: list[str]


def source_of(wanted: Wanted) -> Source:
    """Raises BadParameter, BadTrace or Unreadable; a bad row shows when it is come to."""
    if wanted.trace is None:
        return _drawn(wanted)
    return _traced(wanted, wanted.trace)


def _drawn(wanted: Wanted) -> Source:
    mix = Mix(
        parsed(lengths, wanted.input_len, "--input-len"),
        parsed(lengths, wanted.output_len, "--output-len"),
        wanted.image_share,
        parsed(counts, wanted.images_per_request, "--images-per-request"),
        parsed(sizes, wanted.image_size or SYNTHETIC_SIZE, "--image-size"),
    )
    seed, burstiness = wanted.seed, wanted.burstiness

    def begin() -> Iterator[Arrival]:
        at_s = endless(
            rate=wanted.request_rate, burstiness=burstiness, dice=Random(f"{seed} times")
        )
        return islice(mix.stream(at_s, Random(f"{seed} mix")), wanted.num_prompts or DRAWN)

    return Source("drawn", begin, [])


def _traced(wanted: Wanted, path: Path) -> Source:
    given = wanted.image_size
    size = traces.SERVEGEN_SIZES if given is None else parsed(sizes, given, "--image-size")
    form = _form(path)
    if form.has_sizes and given is not None:
        raise typer.BadParameter(f"expected no --image-size: {path.name} tells sizes, got one")
    notes = []
    if not form.has_sizes:
        how = given or "ServeGen's tokens per image, median 400, p90 1,224, as squares"
        notes.append(f"{form.name}: rows tell no image sizes, they are drawn: {how}.")
    from_s = 0.0 if wanted.start is None else seconds(wanted.start)
    to_s = inf if wanted.duration is None else from_s + seconds(wanted.duration)

    def once() -> Iterator[Arrival]:
        return window(_rows(path, wanted.seed, size), from_s, to_s)

    if wanted.num_prompts is None:
        return Source(path.name, once, notes)
    count = wanted.num_prompts
    return Source(path.name, lambda: cycled(once, count), notes)


def _form(path: Path) -> traces.Format:
    with lines_of(path) as lines:
        form, _ = traces.read(lines, traces.SERVEGEN_SIZES, Random(0))
        return form


def _rows(path: Path, seed: int, size: Draw[Size]) -> Iterator[Arrival]:
    with lines_of(path) as lines:
        _, found = traces.read(lines, size, Random(f"{seed} sizes"))
        yield from found
