"""Options of `bench` and `simulate` that tell a workload, and what they say of its sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import typer

from ..scheduler.workload.arrivals import Mix
from ..scheduler.workload.draws import BadDraw, Draw, Size, counts, lengths, sizes
from ..scheduler.workload.traces import SERVEGEN_SIZES, Format

T = TypeVar("T")
SYNTHETIC_SIZE = "448x448"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixing:
    """By their names, as they were typed."""

    seed: int
    trace: Path | None
    request_rate: float
    burstiness: float
    input_len: str
    output_len: str
    image_share: float
    images_per_request: str
    image_size: str | None

    def mix(self) -> Mix:
        """Of requests that are drawn; raises BadParameter."""
        return Mix(
            _parsed(lengths, self.input_len, "--input-len"),
            _parsed(lengths, self.output_len, "--output-len"),
            self.image_share,
            _parsed(counts, self.images_per_request, "--images-per-request"),
            _parsed(sizes, self.image_size or SYNTHETIC_SIZE, "--image-size"),
        )


def traced_sizes(given: str | None) -> Draw[Size]:
    """What sizes are drawn from where a trace's rows tell none; raises BadParameter."""
    return SERVEGEN_SIZES if given is None else _parsed(sizes, given, "--image-size")


def size_notes(path: Path, form: Format, given: str | None) -> list[str]:
    """What to know about the sizes of a trace's images; raises BadParameter where --image-size
    says other ones."""
    if form.has_sizes:
        if given is not None:
            raise typer.BadParameter(f"expected no --image-size: {path.name} tells sizes, got one")
        return []
    how = given or "ServeGen's tokens per image, median 400, p90 1,224, as squares"
    return [f"{form.name}: rows tell no image sizes, they are drawn: {how}."]


def _parsed(read: Callable[[str], T], text: str, option: str) -> T:
    try:
        return read(text)
    except BadDraw as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
