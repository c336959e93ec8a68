"""Spans as rows of a waterfall, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from ..top.figures import NOTHING, seconds
from ..top.glyphs import Glyphs
from .spans import REQUEST, Span, spans_of

COLOURS = {
    "encode": "magenta",
    "prefill": "blue",
    "hand over KV": "yellow",
    "decode": "green",
}
LEAST_BAR = 10
FIRST = "first token"


def timeline(trace: Mapping[str, Any], width: int, glyphs: Glyphs) -> list[Text]:
    spans = spans_of(trace)
    lines = [*_heading(trace), Text("")]
    labels = [_label(span) for span in spans]
    widest = max([*map(len, labels), len(FIRST)])
    workers = max((cell_len(span.worker) for span in spans), default=0)
    bar = max(LEAST_BAR, width - widest - workers - 22)
    first = trace["first_token_s"]
    for label, span in zip(labels, spans, strict=True):
        if first is not None and first < span.begin_s:
            lines.append(_mark(first, trace["until_s"], widest, bar, glyphs))
            first = None
        lines.append(_row(f"{label:<{widest}}", span, trace["until_s"], bar, glyphs))
    if first is not None:
        lines.append(_mark(first, trace["until_s"], widest, bar, glyphs))
    return [_cut(line, width) for line in lines]


def _heading(trace: Mapping[str, Any]) -> Iterator[Text]:
    state = trace["phase"] + (f": {trace['reason']}" if trace["reason"] else "")
    yield Text.assemble((trace["request_id"], "bold"), f"  {state}")
    images = len(trace["images"])
    yield Text(
        f"{trace['prompt_tokens']} prompt tokens, {images} image{'s' * (images != 1)}, "
        f"{trace['tokens']} tokens in {seconds(trace['until_s'])}"
    )
    slo = trace["slo"]
    yield Text(
        f"{slo['class']}: TTFT {seconds(trace['first_token_s'])} of {seconds(slo['ttft_s'])}, "
        f"TPOT {seconds(tpot_s(trace))} of {seconds(slo['tpot_s'])}"
    )


def tpot_s(trace: Mapping[str, Any]) -> float | None:
    """So far, where it goes on."""
    first: float | None = trace["first_token_s"]
    tokens: int = trace["tokens"]
    if first is None or tokens < 2:
        return None
    took_s: float = trace["until_s"] - first
    return took_s / (tokens - 1)


def _label(span: Span) -> str:
    return span.name if span.lane == REQUEST else f"  {span.lane} {span.name}"


def _row(label: str, span: Span, whole_s: float, bar: int, glyphs: Glyphs) -> Text:
    begin, end = _at(span.begin_s, whole_s, bar), _at(span.end_s, whole_s, bar)
    begin = min(begin, bar - 1)
    drawn = " " * begin + glyphs.full * max(1, end - begin)
    return Text.assemble(
        label,
        f" {seconds(span.begin_s):>8} {seconds(span.seconds):>8}  ",
        (f"{drawn:<{bar}}", COLOURS.get(span.name, "bright_black")),
        f"  {span.worker}" if span.worker else "",
    )


def _mark(at_s: float, whole_s: float, widest: int, bar: int, glyphs: Glyphs) -> Text:
    place = min(_at(at_s, whole_s, bar), bar - 1)
    return Text(f"{FIRST:<{widest}} {seconds(at_s):>8} {NOTHING:>8}  {' ' * place}{glyphs.mark}")


def _at(at_s: float, whole_s: float, bar: int) -> int:
    return round(at_s / whole_s * bar) if whole_s > 0 else 0


def _cut(line: Text, width: int) -> Text:
    line.rstrip()
    line.truncate(width)
    line.no_wrap = True
    return line


def plain(lines: Sequence[Text]) -> str:
    return "\n".join(line.plain for line in lines)
