"""A story as rows, and as a trace-event file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from modserve.cli.main import run
from modserve.cli.top.glyphs import ASCII
from modserve.cli.tracing.chrome import chrome
from modserve.cli.tracing.spans import Span, spans_of
from modserve.cli.tracing.timeline import timeline
from modserve.transport import messages as say

from ...client.scripted import Script, Scripted, greeting_then, scripted, silence

STORY = [
    ("admitted", 0.01),
    ("queued", 0.05),
    ("prefilling", 0.06),
    ("admitted", 0.10),
    ("queued", 0.11),
    ("prefilling", 0.11),
    ("prefilled", 0.21),
    ("decoding", 0.26),
    ("done", 1.01),
]
TRACE: dict[str, Any] = {
    "request_id": "r1",
    "phase": "done",
    "reason": "length",
    "received": 1000.0,
    "until_s": 1.01,
    "first_token_s": 0.26,
    "prompt_tokens": 800,
    "tokens": 31,
    "slo": {"class": "standard", "ttft_s": 2.0, "tpot_s": 0.1},
    "story": STORY,
    "runs": [
        {"prefill": "text-9", "decode": "text-9"},
        {"prefill": "prefill-0", "decode": "decode-0"},
    ],
    "images": [
        {
            "rows": 729,
            "worker": "encode-0",
            "story": [("encoding", 0.01), ("ready", 0.05), ("pulled", 0.12), ("gone", 0.21)],
        }
    ],
}


def test_every_run_has_its_workers() -> None:
    spans = spans_of(TRACE)
    assert [(one.name, one.worker) for one in spans if one.lane == "request"] == [
        ("prepare", ""),
        ("wait for images", ""),
        ("wait for a worker", ""),
        ("prefill", "text-9"),
        ("wait for images", ""),
        ("prefill", "prefill-0"),
        ("hand over KV", "prefill-0 to decode-0"),
        ("decode", "decode-0"),
    ]
    assert Span("image 0", "encode", 0.01, 0.05, "encode-0") in spans
    assert [one.begin_s for one in spans] == sorted(one.begin_s for one in spans)


def test_spans_of_the_request_leave_no_gap() -> None:
    mine = [one for one in spans_of(TRACE) if one.lane == "request"]
    assert mine[0].begin_s == 0
    assert mine[-1].end_s == TRACE["until_s"]
    assert sum(one.seconds for one in mine) == pytest.approx(TRACE["until_s"])


def test_an_open_request_goes_on_until_now() -> None:
    spans = spans_of({**TRACE, "story": STORY[:3], "until_s": 5.0, "images": []})
    assert spans[-1] == Span("request", "prefill", 0.06, 5.0, "text-9")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_rows_are_as_wide_as_the_terminal_at_most(width: int) -> None:
    lines = timeline(TRACE, width, ASCII)
    assert all(line.cell_len <= width for line in lines)
    assert lines[0].plain.startswith("r1  done: length"[:width])


def test_bars_begin_where_their_time_does() -> None:
    lines = [line.plain for line in timeline(TRACE, 100, ASCII)]
    (decode,) = (line for line in lines if line.startswith("decode "))
    (prepare,) = (line for line in lines if line.startswith("prepare "))
    assert prepare.index("#") < decode.index("#")
    assert decode.endswith("decode-0")
    assert lines[2] == "standard: TTFT 260 ms of 2.0 s, TPOT 25 ms of 100 ms"
    marks = [line for line in lines if line.startswith("first token")]
    assert len(marks) == 1
    assert marks[0].index(">") == decode.index("#")


def test_a_request_that_never_began_has_a_timeline_too() -> None:
    story = [("rejected", 0.001)]
    nothing = {**TRACE, "story": story, "first_token_s": None, "images": [], "until_s": 0.001}
    lines = [line.plain for line in timeline({**nothing, "runs": [], "tokens": 0}, 80, ASCII)]
    assert any(line.startswith("prepare") for line in lines)


def test_the_file_is_in_the_trace_event_format() -> None:
    body = chrome(TRACE)
    complete = [one for one in body["traceEvents"] if one["ph"] == "X"]
    assert len(complete) == len(spans_of(TRACE))
    for one in complete:
        assert {"name", "ts", "dur", "pid", "tid"} <= one.keys()
        assert one["dur"] > 0
    names = {one["tid"]: one["args"]["name"] for one in body["traceEvents"] if one["ph"] == "M"}
    assert set(names.values()) >= {"image 0"}
    assert {one["tid"] for one in complete} == {0, 1}
    first = min(one["ts"] for one in complete)
    assert first == 1000.0 * 1e6


def answering() -> Script:
    def script(
        controller: Scripted, identity: bytes, word: say.FromClient, frames: list[bytes]
    ) -> None:
        match word:
            case say.AskTrace(ask, "r1"):
                controller.say(identity, say.Report(ask, orjson.dumps(TRACE)))
            case say.AskTrace(ask, _):
                controller.say(identity, say.Denied(ask, "expected a request that is open"))
            case _:
                greeting_then(silence)(controller, identity, word, frames)

    return script


def test_trace_prints_a_timeline_and_writes_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = tmp_path / "trace.json"
    with scripted(answering()) as controller:
        at = ("--controller", controller.endpoint)
        assert run(["trace", "r1", "--chrome", str(file), *at]) == 0
        told = capsys.readouterr()
        assert told.out.startswith("r1  done: length\n")
        assert orjson.loads(file.read_bytes())["displayTimeUnit"] == "ms"
        assert run(["trace", "r1", "--json", *at]) == 0
        assert orjson.loads(capsys.readouterr().out)["request_id"] == "r1"
        assert run(["trace", "r2", *at]) == 1
        assert capsys.readouterr().err == "msctl: expected a request that is open\n"
        assert run(["trace", "r1", "--chrome", str(tmp_path / "no" / "t.json"), *at]) == 2
