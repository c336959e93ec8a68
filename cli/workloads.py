"""From the options of `bench` to what will be asked: arrivals, and what to know about them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from random import Random

from ..controller.served import BEFORE, NAME
from ..scheduler.workload import traces
from ..scheduler.workload.arrivals import Arrival, times
from .mixing import Mixing, size_notes, traced_sizes

GZIP = b"\x1f\x8b"


class Unreadable(Exception):
    """One sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted(Mixing):
    num_prompts: int
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
    at_s = times(
        wanted.num_prompts,
        rate=wanted.request_rate,
        burstiness=wanted.burstiness,
        dice=Random(f"{wanted.seed} times"),
    )
    return Workload(wanted.mix().draw(at_s, Random(f"{wanted.seed} mix")), [])


def _traced(wanted: Wanted, path: Path) -> Workload:
    size = traced_sizes(wanted.image_size)
    with lines_of(path) as lines:
        form, found = traces.read(lines, size, Random(f"{wanted.seed} sizes"))
        notes = size_notes(path, form, wanted.image_size)
        arrivals = list(islice(found, wanted.num_prompts))
        if next(found, None) is not None:
            notes.insert(0, f"{path.name}: the first {wanted.num_prompts} of its requests.")
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
def lines_of(path: Path) -> Iterator[Iterable[str]]:
    """Of a file that may be compressed, or of what a controller has recorded beside its journal in
    that folder. BadTrace, raised within, gets the file's name."""
    if path.is_dir():
        with _recorded(path) as lines:
            yield lines
        return
    try:
        with path.open("rb") as file:
            packed = file.read(len(GZIP)) == GZIP
        with gzip.open(path, "rt") if packed else path.open() as lines:
            yield lines
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise Unreadable(f"cannot read the trace {path}: {error}") from error
    except traces.BadTrace as error:
        raise traces.BadTrace(f"{path}: {error}") from error


@contextmanager
def _recorded(folder: Path) -> Iterator[Iterable[str]]:
    if not (folder / NAME).exists():
        raise Unreadable(f"expected {NAME} in the folder of a journal, got none in {folder}")
    with lines_of(folder / NAME) as newer:
        if not (folder / BEFORE).exists():
            yield newer
            return
        with lines_of(folder / BEFORE) as older:
            yield chain(older, islice(newer, 1, None))
