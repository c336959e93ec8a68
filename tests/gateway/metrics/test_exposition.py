"""The page that Prometheus scrapes, made of recorded reports and read by its own parser."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from modserve.gateway.metrics.exposition import CONTENT_TYPE, exposition
from modserve.tests.cli.top.statuses import NAMES, recorded

PER_WORKER = 22  # series, at most
VOCABULARY = (  # vLLM's, and SGLang's of encoders
    *("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"),
    *("time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds"),
    *("request_queue_time_seconds", "mm_cache_queries", "mm_cache_hits", "prefix_cache_queries"),
    *("prefix_cache_hits", "request_success", "generation_tokens", "encoder_cache_used_bytes"),
)


def report(name: str) -> dict[str, Any]:
    return recorded(name)[0]


def read(of: dict[str, Any]) -> dict[str, Metric]:
    text = exposition(of).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families: dict[str, Metric], sample: str, **labels: str) -> float:
    found = [
        one.value
        for family in families.values()
        for one in family.samples
        if one.name == f"modserve_{sample}" and one.labels == labels
    ]
    assert len(found) == 1, (sample, labels, found)
    return float(found[0])


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_what_prometheus_reads(name: str) -> None:
    families = read(report(name))
    assert all(family.startswith("modserve_") for family in families)
    assert all(one.documentation for one in families.values())
    assert {f"modserve_{one}" for one in VOCABULARY} <= families.keys()
    assert CONTENT_TYPE.startswith("text/plain")


@pytest.mark.parametrize("name", NAMES)
def test_no_series_is_told_twice(name: str) -> None:
    lines = [line for line in exposition(report(name)).decode().splitlines() if line[0] != "#"]
    series = [line.rpartition(" ")[0] for line in lines]
    assert len(series) == len(set(series))


def test_figures_are_those_of_the_report() -> None:
    told = report("three")
    families = read(told)
    ended = told["requests"]["ends"]["length"]
    assert value(families, "request_success_total", finished_reason="length") == ended
    (text,) = (one for one in told["workers"] if one["name"] == "text-0")
    labels = {"worker": "text-0", "stage": "text"}
    assert value(families, "kv_cache_used_blocks", **labels) == text["kv_blocks_used"]
    usage = text["kv_blocks_used"] / text["kv_blocks"]
    assert value(families, "kv_cache_usage_perc", **labels) == pytest.approx(usage)
    assert value(families, "workers", stage="text", state="ready") == 2
    assert value(families, "workers", stage="text", state="late") == 0


def test_buckets_add_up_to_the_count() -> None:
    families = read(report("three"))
    family = families["modserve_time_to_first_token_seconds"]
    for modality in ("text", "image"):
        mine = [one for one in family.samples if one.labels.get("modality") == modality]
        buckets = [one for one in mine if one.name.endswith("_bucket")]
        assert all(a.value <= b.value for a, b in pairwise(buckets))
        assert all(float(a.labels["le"]) < float(b.labels["le"]) for a, b in pairwise(buckets))
        (count,) = (one.value for one in mine if one.name.endswith("_count"))
        assert buckets[-1].labels["le"] == "+Inf"
        assert buckets[-1].value == count > 0


def test_a_stage_that_has_no_kv_tells_of_none() -> None:
    family = read(report("three"))["modserve_kv_cache_usage_perc"]
    assert {one.labels["worker"] for one in family.samples} == {"text-0", "text-1"}


def test_as_many_series_as_workers_whatever_was_asked() -> None:
    """Requests add none: a busier report of the same workers has as many."""
    told = report("forty")
    busier = copy.deepcopy(told)
    busier["requests"]["ends"] = {name: 10**9 for name in ("stop", "length", "error", "cancelled")}
    busier["requests"]["by_modality"]["image"] = {"queued": 10**6, "decoding": 5}
    assert series(told) == series(busier)
    fewer = {**told, "workers": told["workers"][:20]}
    assert series(told) - series(fewer) <= 20 * PER_WORKER


def series(told: dict[str, Any]) -> int:
    return sum(line[0] != "#" for line in exposition(told).decode().splitlines())
