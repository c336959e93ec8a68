"""Requests that a simulation asks for one by one, as often as it begins: of a trace, or drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from math import inf
from pathlib import Path
from random import Random

from ..scheduler.workload import traces
from ..scheduler.workload.arrivals import Arrival
from ..scheduler.workload.draws import Draw, Size
from ..scheduler.workload.streaming import cycled, endless, window
from .mixing import Mixing, size_notes, traced_sizes
from .options import seconds
from .workloads import lines_of

DRAWN = 1000  # requests, where nobody says how many


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted(Mixing):
    start: str | None
    duration: str | None
    num_prompts: int | None


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    begin: Callable[[], Iterator[Arrival]]  # raises BadTrace or Unreadable, at a bad row
    notes: list[str]
    form: str | None = None  # of a trace


def source_of(wanted: Wanted) -> Source:
    """Raises BadParameter, BadTrace or Unreadable; a bad row shows when it is come to."""
    if wanted.trace is None:
        return _drawn(wanted)
    given = wanted.image_size, wanted.start, wanted.duration
    source, count = traced(wanted.trace, wanted.seed, *given), wanted.num_prompts
    if count is None:
        return source
    return replace(source, begin=lambda: cycled(source.begin, count))


def _drawn(wanted: Wanted) -> Source:
    mix = wanted.mix()
    seed, burstiness = wanted.seed, wanted.burstiness

    def begin() -> Iterator[Arrival]:
        at_s = endless(
            rate=wanted.request_rate, burstiness=burstiness, dice=Random(f"{seed} times")
        )
        return islice(mix.stream(at_s, Random(f"{seed} mix")), wanted.num_prompts or DRAWN)

    return Source("drawn", begin, [])


def traced(
    path: Path, seed: int, image_size: str | None, start: str | None, duration: str | None
) -> Source:
    """As source_of does, of a file and what its options say."""
    size = traced_sizes(image_size)
    form = _form(path)
    notes = size_notes(path, form, image_size)
    from_s = 0.0 if start is None else seconds(start)
    to_s = inf if duration is None else from_s + seconds(duration)

    def once() -> Iterator[Arrival]:
        return window(_rows(path, seed, size), from_s, to_s)

    return Source(path.name, once, notes, form.name)


def _form(path: Path) -> traces.Format:
    with lines_of(path) as lines:
        form, _ = traces.read(lines, traces.SERVEGEN_SIZES, Random(0))
        return form


def _rows(path: Path, seed: int, size: Draw[Size]) -> Iterator[Arrival]:
    with lines_of(path) as lines:
        _, found = traces.read(lines, size, Random(f"{seed} sizes"))
        yield from found
