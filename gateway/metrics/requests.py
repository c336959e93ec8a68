"""Requests: how many, how they ended, how long they took, and what was kept of promises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.metrics_core import Metric

from .family import counter, gauge, histogram

Report = Mapping[str, Any]

MODALITIES = ("text", "image")
WAITING = ("admitted", "queued")
RUNNING = ("prefilling", "prefilled", "decoding")
REASONS = {  # of ours, vLLM's
    "stop": "stop",
    "length": "length",
    "cancelled": "abort",
    "error": "error",
    "rejected": "rejected",
}
HISTOGRAMS = {  # their formulas: docs/metrics.md
    "time_to_first_token_seconds": "From the Submit to the first token",
    "inter_token_latency_seconds": "Between two tokens, as its request's mean",
    "request_time_per_output_token_seconds": "Of a request, behind its first token",
    "e2e_request_latency_seconds": "From the Submit to the end",
    "request_prepare_time_seconds": "Limits, template, tokens, image headers",
    "request_queue_time_seconds": "Waiting for a text worker with room",
    "request_prefill_time_seconds": "From the binding to the prefilled prompt, pulls included",
    "request_transfer_time_seconds": "KV hand-over, what of it prefill did not hide",
    "request_decode_time_seconds": "From the prefilled prompt to the end",
    "request_encode_time_seconds": "From the first image begun to the last image ready",
    "encoder_request_seconds": "Of an image, from the order to encode it to its embedding",
    "request_prompt_tokens": "Prompt tokens, images expanded",
    "request_generation_tokens": "Tokens of an answer",
}


def requests(report: Report) -> Iterator[Metric]:
    told, by_modality = report["requests"], report["requests"]["by_modality"]
    for name, phases, meaning in (
        ("num_requests_waiting", WAITING, "Requests that no text worker has"),
        ("num_requests_running", RUNNING, "Requests that a text worker has"),
    ):
        yield gauge(
            name,
            meaning,
            (
                ({"modality": one}, sum(by_modality[one].get(phase, 0) for phase in phases))
                for one in MODALITIES
            ),
        )
    yield gauge(
        "queue_requests",
        "Requests being prepared, waiting for store room of images, waiting for a text worker",
        (({"queue": queue}, length) for queue, length in report["queues"].items()),
    )
    ends = told["ends"]
    yield counter(
        "request_success",  # so vLLM names it, whatever the reason is
        "Requests that ended, by reason",
        (({"finished_reason": name}, ends.get(ours, 0)) for ours, name in REASONS.items()),
    )
    yield counter("requests_refused", "Not admitted, for any reason", [({}, told["rejected"])])
    yield counter("requests_degraded", "Promised less than asked", [({}, told["degraded"])])
    yield counter("generation_tokens", "Tokens of answers", [({}, told["tokens"])])
    yield gauge("waiting_prompt_tokens", "Not prefilled", [({}, report["waiting_tokens"])])


def latencies(report: Report) -> Iterator[Metric]:
    for name, meaning in HISTOGRAMS.items():
        one = report["histograms"][name]
        there = [modality for modality in MODALITIES if modality in one]
        samples = [({"modality": modality}, one[modality]) for modality in there]
        yield histogram(name, meaning, one["bounds"], samples)


def promises(report: Report) -> Iterator[Metric]:
    """A window without requests has no attainment."""
    rows = report["attainment"]
    stages = [
        ({**_labels(row), "stage": stage}, counts)
        for row in rows
        for stage, counts in (("request", row), *row["stages"].items())
    ]
    yield gauge(
        "slo_attainment_ratio",
        "Requests served in time / sent, of the last while, whole requests and their stages",
        ((labels, counts["attainment"]) for labels, counts in stages if counts["sent"]),
    )
    yield gauge(
        "slo_requests",
        "Requests of the last while that count for attainment",
        ((labels, counts["sent"]) for labels, counts in stages),
    )
    for name, key in (("ttft", "ttft_ms"), ("tpot", "tpot_ms")):
        yield gauge(
            f"slo_{name}_seconds",
            f"{name.upper()} that a class promises, images not reckoned in",
            (({"slo": one["name"]}, one[key] / 1000) for one in report["slo_classes"]),
        )


def _labels(row: Report) -> dict[str, str]:
    return {"slo": row["slo"], "modality": row["modality"], "window": f"{row['window_s']:g}s"}
