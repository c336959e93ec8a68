"""bench as a user types it: against a real cluster, against an OpenAI server, and mistyped."""

from __future__ import annotations

import gzip
import signal
import sys
import time
from pathlib import Path

import orjson
import pytest

from modserve.cli.controlling import TINY
from modserve.cli.main import run
from modserve.cli.workloads import Wanted, workload_of

from ..client.load.web import Request, chunk, serving, whole
from .shell import DEADLINE_S, Shell

TRACE = """\
arrival_s,num_images,context_tokens,generated_tokens,num_images_raw,trace_offset_s,source_row
100.0,1,1300,9,1,74192.709,150629
100.1,0,40,2,0,74192.769,150630
100.2,0,500,9,0,74192.785,150631
"""
NEVER = "arrival_s,num_images,context_tokens,generated_tokens\n0,0,9,3\n86400,0,9,3\n"


def once(request: Request) -> None:
    """A server that answers its first request and refuses the others."""
    if len(request.server.asked) > 1:
        request.begin(429)
    else:
        whole("a", "b")(request)


@pytest.mark.slow
def test_a_closed_loop_keeps_its_limit_and_counts_everything(shell: Shell) -> None:
    line = "bench --num-prompts 7 --max-concurrency 2 --input-len 20 --output-len 5 --ignore-eos"
    code, out, complaint = shell.run(*line.split(), "--num-warmups", "2", "--json")
    assert (code, complaint) == (0, "")
    result = orjson.loads(out)
    assert (result["completed"], result["failed"], result["interrupted"]) == (7, 0, 0)
    assert result["max_concurrent_requests"] == 2
    assert result["total_output_tokens"] == 7 * 5
    assert result["total_input_tokens"] == sum(result["input_lens"]) > 7 * 20  # the template, too
    assert (result["text"]["completed"], result["image"]["completed"]) == (7, 0)
    assert [len(gaps) for gaps in result["itls"]] == [4] * 7
    pairs = zip(result["ttfts"], result["latencies"], strict=True)
    assert all(0 < ttft < latency for ttft, latency in pairs)
    assert (result["model_id"], result["request_rate"], result["seed"]) == ("checkpoint", "inf", 0)


@pytest.mark.slow
def test_an_open_loop_with_images_is_printed_and_saved(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    line = "bench --num-prompts 10 --request-rate 50 --image-share 0.5 --image-size 64x48,30x90"
    line += " --images-per-request 1:1,2:1 --input-len 4-30 --output-len 3 --seed 3"
    line += f" --goodput ttft:90000 image.ttft:80000 tpot:70000 --result-filename {file}"
    code, out, complaint = shell.run(*line.split())
    assert (code, complaint) == (0, "")
    result = orjson.loads(file.read_bytes())
    assert result["completed"] + result["failed"] == 10
    assert result["text"]["completed"] + result["image"]["completed"] == result["completed"] == 10
    assert result["image"]["completed"] == 5
    assert result["attainment"] == 1.0
    assert result["options"]["goodput"] == ["ttft:90000", "image.ttft:80000", "tpot:70000"]
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "============ Serving Benchmark Result ============"
    assert "Successful requests: 10" in lines
    assert "Request rate configured (RPS): 50.00" in lines
    assert "Attainment (% of requests sent): 100.00" in lines
    assert "----------------- image requests -----------------" in lines


@pytest.mark.slow
def test_a_trace_is_sent_as_it_is_and_says_what_it_lacks(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "trace.csv.gz").write_bytes(gzip.compress(TRACE.encode()))
    line = "bench --max-input-len 50 --max-output-len 4 --ignore-eos --num-prompts 2 --json"
    line += " --trace-scale 2 --image-size 60x60 --image-format png"
    code, out, complaint = shell.run(*line.split(), "--trace", str(tmp_path / "trace.csv.gz"))
    assert (code, complaint) == (0, "")
    result = orjson.loads(out)
    assert (result["images"], result["output_lens"]) == ([1, 0], [4, 2])
    assert result["start_times"][1] >= 0.05
    assert result["notes"] == [
        "trace.csv.gz: the first 2 of its requests.",
        "Azure LMM 2025: rows tell no image sizes, they are drawn: 60x60.",
    ]


@pytest.mark.slow
def test_refused_requests_are_counted_and_nothing_but_those_is_an_error(shell: Shell) -> None:
    line = "bench --num-prompts 3 --input-len 9000 --goodput ttft:1000"
    code, out, complaint = shell.run(*line.split())
    assert code == 1
    assert complaint == "msctl: expected answers, got none to 3 requests\n"
    assert " ".join(out.split()).count("Failed requests: 3") == 1
    assert "failed 3 times: " in out
    code, out, complaint = shell.run(*line.split(), "--num-warmups", "1")
    assert (code, out) == (1, "")
    assert complaint.startswith("msctl: 1 of 1 warm-ups failed, the first: ")


@pytest.mark.slow
def test_ctrl_c_prints_what_was_measured(shell: Shell, tmp_path: Path) -> None:
    """The second request would come tomorrow; the first has ended when ctrl-C comes."""
    (tmp_path / "trace.csv").write_text(NEVER)

    def ended() -> int:
        return int(orjson.loads(shell.run("status", "--json")[1])["requests"]["finished"])

    before, deadline = ended(), time.monotonic() + DEADLINE_S
    with shell.start("bench", "--trace", str(tmp_path / "trace.csv")) as process:
        while ended() == before and time.monotonic() < deadline:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, complaint = process.communicate(timeout=30)
    assert (process.returncode, complaint) == (130, "")
    assert "Successful requests:                     1 " in out


def test_any_openai_server_gets_the_same_load(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(whole("a", "b", "c")) as web:
        line = f"bench --url {web.url} --model seven --tokenizer {TINY} --num-prompts 4 --json"
        line += " --image-share 0.5 --image-size 8x8 --input-len 6 --output-len 9 --seed 1"
        assert run(line.split()) == 0
        first = [body["messages"] for _, _, body in web.asked]
        assert run(line.split()) == 0
        assert sorted(map(str, first)) == sorted(
            str(body["messages"]) for _, _, body in web.asked[4:]
        )
    result = orjson.loads(capsys.readouterr().out.splitlines()[0])
    assert (result["completed"], result["failed"]) == (4, 0)
    assert (result["total_input_tokens"], result["total_output_tokens"]) == (4 * 12, 4 * 3)
    assert result["endpoint_type"] == "openai-chat"


def test_warm_ups_do_not_wait_and_are_not_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trace's second request is due tomorrow; as a warm-up it goes at once, and is refused."""
    (tmp_path / "trace.csv").write_text(NEVER)

    with serving(once) as web:
        line = f"bench --url {web.url} --model m --tokenizer {TINY} --max-concurrency 1"
        line += f" --trace {tmp_path / 'trace.csv'} --num-warmups 2"
        assert run(line.split()) == 1
    assert len(web.asked) == 2
    told = capsys.readouterr().err
    assert told == "msctl: 1 of 2 warm-ups failed, the first: HTTP 429\n"


def test_a_server_that_counts_no_tokens_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(request: Request) -> None:
        request.begin()
        request.say(chunk("a"), chunk("b", "stop"), "[DONE]")

    with serving(answer) as web:
        line = f"bench --url {web.url} --model m --tokenizer {TINY} --num-prompts 2 --input-len 5"
        assert run([*line.split(), "--json"]) == 0
    result = orjson.loads(capsys.readouterr().out)
    assert (result["total_input_tokens"], result["total_output_tokens"]) == (10, 4)
    assert result["notes"] == [
        "2 answers came without the server's count of tokens: chunks were counted."
    ]


def test_a_server_that_refuses_is_a_figure(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(once) as web:
        line = f"bench --url {web.url} --model m --tokenizer {TINY} --num-prompts 3 --json"
        assert run([*line.split(), "--max-concurrency", "1", "--goodput", "ttft:60000"]) == 0
    result = orjson.loads(capsys.readouterr().out)
    assert (result["completed"], result["failed"]) == (1, 2)
    assert result["attainment"] == pytest.approx(1 / 3)
    assert result["errors"] == ["", "HTTP 429", "HTTP 429"]


def test_without_the_extra_a_url_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "modserve.client.load.openai", raising=False)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    assert run(f"bench --url http://127.0.0.1:1/v1 --model m --tokenizer {TINY}".split()) == 1
    told = capsys.readouterr().err
    assert told == "msctl: expected httpx2 for --url, got none: pip install 'modserve[bench]'\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("frobnicate", "expected an option, got frobnicate"),
        (
            "--goodput ttft:500 fast",
            "expected an objective like ttft:500 or image.ttft:8000, got",
        ),
        ("--request-rate 0", "expected a number above 0, got 0"),
        ("--burstiness nan", "expected a number above 0, got nan"),
        ("--num-prompts 0", "Invalid value for '--num-prompts'"),
        ("--input-len many", "expected a length like 128 or 64-256, got many"),
        ("--image-size big", "expected sizes like 448x448"),
        ("--images-per-request 0", "expected counts like 1 or 1:0.66,3:0.34, got 0"),
        ("--image-share 2", "Invalid value for '--image-share'"),
        ("--image-format gif", "expected jpeg or png, got gif"),
        ("--metric-percentiles 50,x", "expected percentiles like 50,90,99, got 50,x"),
        ("--percentile-metrics ttft,speed", "expected metrics of ttft,tpot,itl,e2el,max_itl,"),
        ("--timeout soon", "expected a time like 60s or 5m, got soon"),
        ("--trace-scale 2", "expected --trace with --trace-scale, got none"),
        ("--model m", "expected --url with --model, got none"),
        ("--trace t.csv --request-rate 2", "expected --trace or --request-rate, got both"),
        ("--url http://here/v1 --model m", "expected --tokenizer with --url, got none"),
        ("--url here --model m --tokenizer t", "expected a URL like http://127.0.0.1:8000/v1, got"),
        ("--result-filename /nowhere/r.json", "expected a folder for /nowhere/r.json, got none"),
    ],
)
def test_bad_usage_is_one_sentence(
    line: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", *line.split()]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert expected in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "No such file"),
        (b"arrival_s\n1\n", "line 1: expected a column "),
        (b"\x1f\x8bnot gzip at all", "cannot read the trace "),
        (gzip.compress(TRACE.encode(), mtime=0)[:60], "cannot read the trace "),
        (b"\xff\xfe\x00", "cannot read the trace "),
    ],
)
def test_a_trace_that_is_none_is_one_sentence(
    content: bytes | None, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "trace.csv"
    if content is not None:
        file.write_bytes(content)
    assert run(["bench", "--trace", str(file)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert expected in shown.err
    assert shown.err.count("\n") == 1


def test_the_same_seed_is_the_same_load() -> None:
    def wanted(seed: int) -> Wanted:
        return Wanted(
            num_prompts=50,
            seed=seed,
            request_rate=2.0,
            burstiness=0.5,
            input_len="10-900",
            output_len="5-50",
            image_share=0.4,
            images_per_request="1:0.6,2:0.4",
            image_size="lognormal:560,1148",
            trace=None,
            trace_scale=1.0,
            max_input_len=600,
            max_output_len=None,
        )

    first = workload_of(wanted(1)).arrivals
    assert first == workload_of(wanted(1)).arrivals != workload_of(wanted(2)).arrivals
    assert max(arrival.text_tokens for arrival in first) == 600
