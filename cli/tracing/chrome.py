"""A story in the trace-event format, which chrome://tracing and ui.perfetto.dev show.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .spans import REQUEST, Span, spans_of

PROCESS = 1
MICRO = 1e6


def chrome(trace: Mapping[str, Any]) -> dict[str, Any]:
    """Times are microseconds of Unix time, so that several requests can be laid side by side."""
    lanes = [REQUEST, *(f"image {index}" for index in range(len(trace["images"])))]
    begin = trace["received"]
    events = [_named("process_name", 0, f"request {trace['request_id']}")]
    events += [_named("thread_name", number, lane) for number, lane in enumerate(lanes)]
    events += [_complete(span, begin, lanes.index(span.lane)) for span in spans_of(trace)]
    if trace["first_token_s"] is not None:
        at = (begin + trace["first_token_s"]) * MICRO
        events.append(
            {"name": "first token", "ph": "i", "s": "p", "ts": at, "pid": PROCESS, "tid": 0}
        )
    told = {key: trace[key] for key in ("request_id", "phase", "reason", "prompt_tokens", "tokens")}
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": told}


def _named(what: str, thread: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": PROCESS, "tid": thread, "args": {"name": name}}


def _complete(span: Span, begin: float, thread: int) -> dict[str, Any]:
    return {
        "name": span.name,
        "cat": "stage",
        "ph": "X",
        "ts": (begin + span.begin_s) * MICRO,
        "dur": span.seconds * MICRO,
        "pid": PROCESS,
        "tid": thread,
        "args": {"worker": span.worker} if span.worker else {},
    }
