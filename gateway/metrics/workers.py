"""Workers, as they said with their last heartbeat, and the controller's books about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.metrics_core import Metric

from .family import Labels, counter, gauge

Report = Mapping[str, Any]

STATES = ("loading", "ready", "late", "draining", "switching")


@dataclass(frozen=True, slots=True)
class Of:
    """A metric with one sample for each worker; `needs`: 0 where its stages lack it."""

    name: str
    key: str
    told: str
    needs: str = ""


GAUGES = (
    Of("worker_requests_running", "running", "Requests that take part in its steps"),
    Of("worker_requests_waiting", "waiting", "Requests that miss images or KV; images to encode"),
    Of("worker_pending_tokens", "pending_tokens", "Of prompts bound to it, not prefilled"),
    Of("worker_pending_image_tokens", "pending_image_tokens", "Given to it, not encoded"),
    Of("worker_busy_ratio", "busy", "Share of its time spent in steps"),
    Of("worker_silence_seconds", "heard_s_ago", "Since its last word"),
    Of("worker_links", "links", "Open tensor links, either direction"),
    Of("worker_quarantined_bytes", "quarantined_bytes", "Under a transfer that did not stop"),
    Of("worker_resident_memory_bytes", "resident_bytes", "Of its process"),
    Of("worker_image_token_seconds", "image_token_s", "Median of late; 0: it encoded none"),
    Of("worker_prompt_token_seconds", "prompt_token_s", "Median of late; 0: it prefilled none"),
    Of("worker_decode_step_seconds", "decode_s", "Median of late; 0: it decoded none"),
    Of("kv_cache_capacity_blocks", "kv_blocks", "KV blocks that there are", "kv_blocks"),
    Of("kv_cache_used_blocks", "kv_blocks_used", "Of open requests", "kv_blocks"),
    Of("kv_cache_cached_blocks", "kv_blocks_cached", "Of ended requests", "kv_blocks"),
    Of("kv_cache_booked_blocks", "kv_blocks_booked", "Promised by the scheduler", "kv_blocks"),
    Of("encoder_cache_capacity_bytes", "store_bytes", "For embeddings", "store_bytes"),
    Of("encoder_cache_used_bytes", "store_bytes_used", "Embeddings on offer", "store_bytes"),
    Of("encoder_cache_cached_bytes", "store_bytes_cached", "Needed by nobody now", "store_bytes"),
    Of("encoder_cache_booked_bytes", "store_bytes_booked", "Promised", "store_bytes"),
    Of("staging_capacity_bytes", "staging_bytes", "For embeddings under way", "staging_bytes"),
    Of("staging_used_bytes", "staging_bytes_used", "Embeddings under way", "staging_bytes"),
)
COUNTERS = (
    Of("worker_generation_tokens", "tokens", "Emitted since its start"),
    Of("worker_image_tokens", "image_tokens", "Encoded since its start"),
    Of("prefix_cache_queries", "prefix_tokens", "Prompt tokens looked up", "kv_blocks"),
    Of("prefix_cache_hits", "prefix_hit_tokens", "Of them, found", "kv_blocks"),
)


def workers(report: Report) -> Iterator[Metric]:
    there = report["workers"]
    for of in GAUGES:
        yield gauge(of.name, of.told, _samples(of, there))
    for of in COUNTERS:
        yield counter(of.name, of.told, _samples(of, there))
    yield gauge(
        "kv_cache_usage_perc",
        "Used KV blocks / all; 1 is all",
        (
            (_labels(one), one["kv_blocks_used"] / one["kv_blocks"])
            for one in there
            if one["kv_blocks"]
        ),
    )
    states = Counter((one["role"], one["state"]) for one in there)
    yield gauge(
        "workers",
        "By stage and state",
        (
            ({"stage": role, "state": state}, states[role, state])
            for role in sorted({one["role"] for one in there})
            for state in STATES
        ),
    )


def _samples(of: Of, there: list[Report]) -> Iterator[tuple[Labels, float]]:
    for one in there:
        if not of.needs or one[of.needs]:
            yield _labels(one), one[of.key]


def _labels(one: Report) -> Labels:
    return {"worker": one["name"], "stage": one["role"]}
