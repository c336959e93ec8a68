"""The figures in the words and columns of `vllm bench serve`; a row for each kind of request
follows, then the notes of the result and what requests failed of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from .measures import word
from .objectives import KINDS

WIDTH = 50
HEADINGS = {
    "ttft": ("TTFT", "Time to First Token"),
    "tpot": ("TPOT", "Time per Output Token (excl. 1st token)"),
    "itl": ("ITL", "Inter-token Latency"),
    "e2el": ("E2EL", "End-to-end Latency"),
    "max_itl": ("Max ITL", "Worst Inter-token Latency of a Request"),
    "client_queue_time": ("Client Queue Time", "Client-side Queueing"),
}
ERRORS = 3  # different ones that are shown


def report(
    result: Mapping[str, Any], metrics: Sequence[str], percentiles: Sequence[float]
) -> Iterator[str]:
    """Lines."""
    yield f"{' Serving Benchmark Result ':=^{WIDTH}}"
    yield from _counts(result)
    for metric in metrics:
        yield from _section(result, metric, percentiles)
    for kind in KINDS:
        if result[kind]["completed"] or result[kind]["failed"]:
            yield from _kind(kind, result[kind], metrics, percentiles)
    yield "=" * WIDTH
    yield from result["notes"]
    yield from _errors(result["errors"])


def _counts(result: Mapping[str, Any]) -> Iterator[str]:
    yield _line("Successful requests:", result["completed"])
    yield _line("Failed requests:", result["failed"])
    if result["interrupted"]:
        yield _line("Interrupted requests:", result["interrupted"])
    if result["max_concurrency"] is not None:
        yield _line("Maximum request concurrency:", result["max_concurrency"])
    if isinstance(result["request_rate"], float):  # neither a trace nor all at once
        yield _line("Request rate configured (RPS):", result["request_rate"])
    yield _line("Benchmark duration (s):", result["duration"])
    yield _line("Total input tokens:", result["total_input_tokens"])
    yield _line("Total generated tokens:", result["total_output_tokens"])
    yield _line("Request throughput (req/s):", result["request_throughput"])
    if result["request_goodput"] is not None:
        yield _line("Request goodput (req/s):", result["request_goodput"])
        yield _line("Attainment (% of requests sent):", _percent(result["attainment"]))
    yield _line("Output token throughput (tok/s):", result["output_throughput"])
    yield _line("Peak output token throughput (tok/s):", result["max_output_tokens_per_s"])
    yield _line("Peak concurrent requests:", float(result["max_concurrent_requests"]))
    yield _line("Total token throughput (tok/s):", result["total_token_throughput"])


def _section(result: Mapping[str, Any], metric: str, percentiles: Sequence[float]) -> Iterator[str]:
    name, heading = HEADINGS[metric]
    yield f"{heading:-^{WIDTH}}"
    for label in ("mean", "median", *map(word, percentiles)):
        yield _line(f"{label.capitalize()} {name} (ms):", result[f"{label}_{metric}_ms"])


def _kind(
    kind: str, figures: Mapping[str, Any], metrics: Sequence[str], percentiles: Sequence[float]
) -> Iterator[str]:
    """One row a metric, so that both kinds fit beside the rest on one screen."""
    yield f"{f' {kind} requests ':-^{WIDTH}}"
    yield _line("Successful, failed requests:", f"{figures['completed']}, {figures['failed']}")
    if figures["request_goodput"] is not None:
        yield _line("Request goodput (req/s):", figures["request_goodput"])
        yield _line("Attainment (% of requests sent):", _percent(figures["attainment"]))
    labels = ("mean", *map(word, percentiles))
    yield f"{'ms':<10}" + "".join(f"{label:>10}" for label in labels)
    for metric in (one for one in metrics if one != "client_queue_time"):
        values = (_number(figures[f"{label}_{metric}_ms"]) for label in labels)
        yield f"{HEADINGS[metric][0]:<10}" + "".join(f"{value:>10}" for value in values)


def _errors(errors: Sequence[str]) -> Iterator[str]:
    """The commonest ones."""
    told = groupby(sorted(error for error in errors if error))
    counted = sorted(((len(list(group)), error) for error, group in told), reverse=True)
    for count, error in counted[:ERRORS]:
        yield f"failed {count} times: {error}"
    if counted[ERRORS:]:
        yield f"failed for {len(counted) - ERRORS} other reasons, too"


def _line(label: str, value: float | str | None) -> str:
    return f"{label:<40} {value if isinstance(value, int | str) else _number(value):<10}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
