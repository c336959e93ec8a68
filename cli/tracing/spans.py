"""A story cut into spans: what was done, from when to when, and by whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

REQUEST = "request"
TEXT = {  # of each phase: what is done meanwhile
    "admitted": "wait for images",
    "queued": "wait for a worker",
    "prefilling": "prefill",
    "prefilled": "hand over KV",
    "decoding": "decode",
}
IMAGE = {"encoding": "encode", "ready": "stored", "pulled": "pulled"}
Marks = Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Span:
    """Times in seconds since the Submit came in; `lane`: the request, or `image N`."""

    lane: str
    name: str
    begin_s: float
    end_s: float
    worker: str = ""

    @property
    def seconds(self) -> float:
        return self.end_s - self.begin_s


def spans_of(trace: Mapping[str, Any]) -> list[Span]:
    """In the order in which they began; what took no time at all is left out."""
    found = [*_of_text(trace)]
    for index, image in enumerate(trace["images"]):
        found += _of_image(f"image {index}", image, trace["until_s"])
    return sorted((span for span in found if span.seconds > 0), key=lambda span: span.begin_s)


def _of_text(trace: Mapping[str, Any]) -> Iterator[Span]:
    story, run = trace["story"], -1
    if story:
        yield Span(REQUEST, "prepare", 0.0, story[0][1])
    for phase, begin_s, end_s in _pieces(story, trace["until_s"]):
        run += phase == "prefilling"
        if phase in TEXT:
            yield Span(REQUEST, TEXT[phase], begin_s, end_s, _worker(trace["runs"], run, phase))


def _worker(runs: Sequence[Mapping[str, str]], run: int, phase: str) -> str:
    """A hand-over is between two."""
    if phase in ("admitted", "queued") or not 0 <= run < len(runs):
        return ""
    prefill, decode = runs[run]["prefill"], runs[run]["decode"]
    return {"prefilling": prefill, "prefilled": f"{prefill} to {decode}"}.get(phase, decode)


def _of_image(lane: str, image: Mapping[str, Any], until_s: float) -> Iterator[Span]:
    for phase, begin_s, end_s in _pieces(image["story"], until_s):
        if phase in IMAGE:
            worker = image["worker"] if phase == "encoding" else ""
            yield Span(lane, IMAGE[phase], begin_s, end_s, worker)


def _pieces(marks: Marks, until_s: float) -> Iterator[tuple[str, float, float]]:
    """Each phase up to the next mark, the last one up to the end of the whole story."""
    for (phase, begin_s), (_, end_s) in pairwise(marks):
        yield phase, begin_s, end_s
    if marks:
        phase, begin_s = marks[-1]
        yield phase, begin_s, until_s
