"""The print-out, line by line as `vllm bench serve` has it."""

from __future__ import annotations

from modserve.client.load.measures import measure
from modserve.client.load.objectives import read_objectives
from modserve.client.load.record import Record
from modserve.client.load.report import report

RECORDS = [
    Record(0, 0.0, 0.0, [(0.1, 1), (0.3, 1)], 0.3, 10, 2),
    Record(0, 0.0, 0.0, [], 0.5, 10, 0, error="HTTP 429: slow down"),
    Record(0, 0.0, 0.0, [], 2.0, 10, 0, error="HTTP 429: slow down"),
]
EXPECTED = """\
============ Serving Benchmark Result ============
Successful requests:                     1
Failed requests:                         2
Maximum request concurrency:             8
Request rate configured (RPS):           4.00
Benchmark duration (s):                  2.00
Total input tokens:                      10
Total generated tokens:                  2
Request throughput (req/s):              0.50
Request goodput (req/s):                 0.50
Attainment (% of requests sent):         33.33
Output token throughput (tok/s):         1.00
Peak output token throughput (tok/s):    2.00
Peak concurrent requests:                3.00
Total token throughput (tok/s):          6.00
---------------Time to First Token----------------
Mean TTFT (ms):                          100.00
Median TTFT (ms):                        100.00
P99 TTFT (ms):                           100.00
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):                          200.00
Median TPOT (ms):                        200.00
P99 TPOT (ms):                           200.00
----------------- text requests ------------------
Successful, failed requests:             1, 2
Request goodput (req/s):                 0.50
Attainment (% of requests sent):         33.33
ms              mean       p99
TTFT          100.00    100.00
TPOT          200.00    200.00
==================================================
sizes are drawn
failed 2 times: HTTP 429: slow down
"""


def printed(records: list[Record], **told: object) -> str:
    result = measure(records, read_objectives(["ttft:100"]), [99])
    result |= {"max_concurrency": None, "request_rate": "inf", "notes": [], **told}
    return "".join(f"{line.rstrip()}\n" for line in report(result, ["ttft", "tpot"], [99]))


def test_the_print_out_is_vllms_and_then_ours() -> None:
    told = printed(RECORDS, max_concurrency=8, request_rate=4.0, notes=["sizes are drawn"])
    assert told == EXPECTED


def test_an_interrupted_run_without_an_end_says_so() -> None:
    told = printed([Record(1, 0.0, 0.0)])
    assert "Interrupted requests:                    1\n" in told
    assert "Mean TTFT (ms):                          -\n" in told
    assert "Request rate configured" not in told
    assert "image requests" not in told


def test_only_the_commonest_errors_are_shown() -> None:
    records = [Record(0, 0.0, 0.0, [], 1.0, error=f"error {number}") for number in (1, 1, 2, 3, 4)]
    told = printed(records)
    assert "failed 2 times: error 1\n" in told
    assert told.count("failed 1 times") == 2
    assert told.endswith("failed for 1 other reasons, too\n")
