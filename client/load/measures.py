"""Records become figures, with the names of `vllm bench serve` and the formulas of
docs/metrics.md. Nothing is known here of how the requests were sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .objectives import KINDS, Objectives
from .record import Record


def measure(
    records: Sequence[Record], objectives: Objectives | None, percentiles: Sequence[float]
) -> dict[str, Any]:
    """The figures of all, then of each kind, then lists with an entry for each request.

    Requests that have not ended are counted as `interrupted` and nowhere else. Times in the
    figures are in ms where the name says so and in seconds elsewhere; None: of no request.
    """
    done = [record for record in records if record.ended_s is not None]
    duration_s = _duration_s(done)
    return {
        **_figures(done, duration_s, objectives, percentiles),
        "max_output_tokens_per_s": _busiest_second(done),
        "max_concurrent_requests": _peak(done),
        "interrupted": len(records) - len(done),
        **{
            kind: _figures(
                [record for record in done if record.kind == kind],
                duration_s,
                objectives,
                percentiles,
            )
            for kind in KINDS
        },
        **_lists(done),
    }


def word(percentile: float) -> str:
    """99 -> p99, 99.9 -> p99.9"""
    return f"p{percentile:g}"


def _figures(
    done: Sequence[Record],
    duration_s: float,
    objectives: Objectives | None,
    percentiles: Sequence[float],
) -> dict[str, Any]:
    completed = [record for record in done if record.completed]
    good = None if objectives is None else sum(map(objectives.met, done))
    read = sum(record.prompt_tokens for record in completed)
    written = sum(record.output_tokens for record in completed)
    per_s = 1 / duration_s if duration_s else 0.0
    return {
        "duration": duration_s,
        "completed": len(completed),
        "failed": len(done) - len(completed),
        "total_input_tokens": read,
        "total_output_tokens": written,
        "request_throughput": len(completed) * per_s,
        "request_goodput": None if good is None else good * per_s,
        "attainment": None if good is None or not done else good / len(done),
        "output_throughput": written * per_s,
        "total_token_throughput": (read + written) * per_s,
        **_latencies(completed, percentiles),
    }


def _latencies(
    completed: Sequence[Record], percentiles: Sequence[float]
) -> dict[str, float | None]:
    gaps = [record.gaps_s for record in completed]
    values_s: dict[str, list[float]] = {
        "ttft": [record.ttft_s for record in completed],
        "tpot": [tpot for record in completed if (tpot := record.tpot_s) is not None],
        "itl": [gap for one in gaps for gap in one],
        "e2el": [record.e2el_s for record in completed],
        "max_itl": [max(one) for one in gaps if one],
        "client_queue_time": [record.queued_s for record in completed],
    }
    return {
        name: value
        for metric, values in values_s.items()
        for name, value in _spread(metric, values, percentiles)
    }


def _spread(
    metric: str, values_s: Sequence[float], percentiles: Sequence[float]
) -> list[tuple[str, float | None]]:
    names = [f"{stem}_{metric}_ms" for stem in ("mean", "median", "std", *map(word, percentiles))]
    if not values_s:
        return [(name, None) for name in names]
    values = np.asarray(values_s) * 1000
    found = [values.mean(), np.median(values), values.std(), *np.percentile(values, percentiles)]
    return [(name, float(value)) for name, value in zip(names, found, strict=True)]


def _duration_s(done: Sequence[Record]) -> float:
    """From the first one sent to the last end."""
    if not done:
        return 0.0
    return max(record.ended_s or 0.0 for record in done) - min(record.sent_s for record in done)


def _peak(done: Sequence[Record]) -> int:
    """The most requests that were under way at one time; one that ends makes room first."""
    steps = [(record.sent_s, 1) for record in done]
    steps += [(record.ended_s or 0.0, -1) for record in done]
    return int(max(np.cumsum([step for _, step in sorted(steps)]), default=0))


def _busiest_second(done: Sequence[Record]) -> float:
    """The most tokens of completed requests that came within one second of the clock."""
    heard = [one for record in done if record.completed for one in record.heard]
    if not heard:
        return 0.0
    seconds = [int(at_s) for at_s, _ in heard]
    return float(np.bincount(seconds, weights=[tokens for _, tokens in heard]).max())


def _lists(done: Sequence[Record]) -> dict[str, list[Any]]:
    """In the order of sending."""
    return {
        "input_lens": [record.prompt_tokens for record in done],
        "output_lens": [record.output_tokens if record.completed else 0 for record in done],
        "images": [record.images for record in done],
        "start_times": [record.sent_s for record in done],
        "queue_times": [record.queued_s for record in done],
        "ttfts": [record.ttft_s for record in done],
        "itls": [record.gaps_s for record in done],
        "latencies": [record.e2el_s for record in done],
        "errors": [record.error for record in done],
    }
