"""simulate as a user types it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from modserve.cli.main import run

from .shell import Shell
from .test_profiling import WITHOUT_MATPLOTLIB
from .test_sources import AZURE

SMALL = (
    "simulate --model llama3.2-11b --gpus 8 --num-prompts 100 --request-rate 4 "
    "--image-share 0.5 --image-size 560x560 --input-len 64-512 --output-len 4-64"
)
KEYS = {"requests", "finished", "refused", "attainment", "rate_req_s", "ttft_ms", "tpot_ms"}


def simulated(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert run([*SMALL.split(), "--json", "-", *options]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    body: dict[str, Any] = orjson.loads(shown.out)
    return body


def test_figures_are_told_overall_and_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    found = simulated(capsys)
    assert found.keys() >= KEYS | {"gpus_mean", "wall_s", "text", "image"}
    for row in (found, found["text"], found["image"]):
        assert row.keys() >= KEYS
        assert row["finished"] == row["requests"]
        assert (row["refused"], row["attainment"]) == (0, 1.0)
        assert row["ttft_ms"].keys() == row["tpot_ms"].keys() == {"p50", "p90", "p99"}
        assert 1 < row["ttft_ms"]["p50"] <= row["ttft_ms"]["p90"] <= row["ttft_ms"]["p99"] < 5000
        assert 1 < row["tpot_ms"]["p50"] <= row["tpot_ms"]["p99"] < 500
    assert found["requests"] == found["text"]["requests"] + found["image"]["requests"] == 100
    assert found["rate_req_s"] == pytest.approx(4, rel=0.2)
    assert found["text"]["ttft_ms"]["p50"] < found["image"]["ttft_ms"]["p50"]
    assert found["gpus_mean"] == pytest.approx(8)
    assert (found["layout"], found["ceiling"]) == ("text=1@4,encode=4@1", 1.0)
    assert found["utilisation"].keys() == {"text", "encode"}


def test_the_same_seed_gives_the_same_figures(capsys: pytest.CaptureFixture[str]) -> None:
    first, again, other = (simulated(capsys, "--seed", seed) for seed in "001")
    for one in (first, again, other):
        assert one.pop("wall_s") > 0
    assert orjson.dumps(first) == orjson.dumps(again)
    assert first["ttft_ms"] != other["ttft_ms"]


@pytest.mark.parametrize("name", ["monolith-2024", "pd", "decoupling", "modserve"])
def test_every_system_serves(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = simulated(capsys, "--system", name)
    assert (found["system"], found["finished"]) == (name, 100)
    assert (found["scheduling"]["order"] == "fifo") == (name != "modserve")


def test_a_scale_multiplies_the_rate_and_a_layout_is_taken(
    capsys: pytest.CaptureFixture[str],
) -> None:
    slow, fast = (simulated(capsys, "--scale", scale, "--layout", "all=2@4/1") for scale in "18")
    assert fast["rate_req_s"] == pytest.approx(8 * slow["rate_req_s"])
    assert slow["layout"] == "all=2@4/1"
    assert fast["utilisation"]["all"] > slow["utilisation"]["all"]
    assert fast["ttft_ms"]["p99"] > slow["ttft_ms"]["p99"]


def test_a_system_that_scales_gives_back_what_nobody_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    calm = ("--gpus", "32", "--request-rate", "0.2", "--system", "modserve")
    fixed, scaled = simulated(capsys, *calm), simulated(capsys, *calm, "--autoscale")
    assert (fixed["autoscale"], scaled["autoscale"]) == (False, True)
    assert fixed["workers"] == [[0.0, "text", 5], [0.0, "encode", 12]]
    assert fixed["gpus_mean"] == pytest.approx(32)
    assert scaled["gpus_mean"] < 24
    assert scaled["finished"] == 100
    assert scaled["workers"][:2] == fixed["workers"]
    assert len(scaled["workers"]) > 2


def test_a_promise_may_be_beyond_anybody(capsys: pytest.CaptureFixture[str]) -> None:
    strict = simulated(capsys, "--slo", "literal", "--slo-factor", "0.5")
    assert strict["ceiling"] < 0.9
    assert strict["attainment"] <= strict["ceiling"]


@pytest.mark.slow
def test_a_search_finds_the_highest_rate_that_holds(capsys: pytest.CaptureFixture[str]) -> None:
    found = simulated(capsys, "--search", "--attainment", "0.9", "--tolerance", "0.2")
    assert found["attainment"] >= 0.9
    tried = {probe["scale"]: probe for probe in found["tried"]}
    assert tried[found["scale"]]["holds"]
    above = [scale for scale, probe in tried.items() if not probe["holds"]]
    assert found["scale"] < min(above) <= found["scale"] * 1.2
    assert found["rate_req_s"] > 4


def test_repeats_tell_how_sure_their_means_are(capsys: pytest.CaptureFixture[str]) -> None:
    found = simulated(capsys, "--repeats", "3")
    assert (found["repeats"], found["requests"], found["seed"]) == (3, 300, 0)
    assert [one["seed"] for one in found["runs"]] == [0, 1, 2]
    assert found["runs"][1]["ttft_ms"] == simulated(capsys, "--seed", "1")["ttft_ms"]
    told = found["confidence"]["ttft_ms.p90"]
    alone = [one["ttft_ms"]["p90"] for one in found["runs"]]
    assert told["mean"] == pytest.approx(sum(alone) / 3)
    assert told["low"] < min(alone) < max(alone) < told["high"]
    assert found["confidence"]["gpus_mean"]["low"] == pytest.approx(8)


def test_the_screen_tells_of_repeats(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SMALL.split(), "--repeats", "2"]) == 0
    shown = capsys.readouterr().out
    assert "2 repeats" in shown
    assert "rate_req_s" in shown


def test_the_screen_has_a_table_and_the_folder_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace, file, plots = tmp_path / "azure.csv", tmp_path / "found.json", tmp_path / "plots"
    trace.write_text(AZURE)
    line = f"simulate --model internvl-26b --gpus 9 --gpu h100 --trace {trace} --system paper"
    assert run([*line.split(), "--json", str(file), "--plot", str(plots)]) == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert shown[0] == (
        "paper: internvl-26b on 9 h100, azure.csv at 1 x the rate, per-request SLO x 5"
    )
    assert shown[2].startswith("all 3 3 0 100.0% 1.00 ")
    assert any(line.startswith("text=1@4,encode=5@1: 9.0 GPUs on average") for line in shown)
    assert shown[-1].startswith("Azure LMM 2025: rows tell no image sizes, they are drawn")
    assert orjson.loads(file.read_bytes())["requests"] == 3
    drawn = sorted(plot.name for plot in plots.iterdir())
    assert drawn == ["latencies.png", "over-time.png", "utilisation.png"]
    assert all(plot.read_bytes().startswith(b"\x89PNG") for plot in plots.iterdir())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--gpus 8", "Missing option '--model'"),
        ("--model llama3.2-11b", "Missing option '--gpus'"),
        ("--model gpt --gpus 8", "expected a model of llama3.2-11b, .*, got 'gpt'"),
        (
            "--model llama3.2-11b --gpus 8 --gpu tpu",
            "expected a GPU of a100, .*, got 'tpu'",
        ),
        ("--model llama3.2-11b --gpus 8 --system tgi", "expected a system of .*, got 'tgi'"),
        ("--model llama3.2-11b --gpus 8 --slo p99", "expected an SLO of per-request or literal"),
        ("--model llama3.2-11b --gpus 4", "expected at least 5 GPUs for text on 4 and encode on 1"),
        ("--model llama3.2-11b --gpus 8 --layout all=3@4", "a layout for 8 GPUs, got one for 12"),
        ("--model llama3.2-11b --gpus 8 --layout x", "expected a layout like .*, got x"),
        (
            "--model llama3.2-11b --gpus 8 --layout text=2@4 --image-share 1",
            "expected workers for encode, got none for 1000 images",
        ),
        ("--model llama3.2-11b --gpus 8 --layout encode=8@1", "text stage, got none for text"),
        ("--model llava-ov-72b --gpus 8 --layout all=8@1", "that fit on 1 a100, got 146 GB"),
        ("--model llama3.2-11b --gpus 9 --layout all=3@3", "that divides 32 heads, got 3"),
        ("--model llama3.2-11b --gpus 1000000", "less than or equal to 16384"),
        (
            "--model llama3.2-11b --gpus 8 --scale 1e-300",
            "within at most 31 days, got",
        ),
        ("--model llama3.2-11b --gpus 8 --request-rate 1e-300", "within at most 31 days"),
        ("--model llama3.2-11b --gpus 8 --num-prompts 1000000000000", "less than or equal to"),
        ("--model llama3.2-11b --gpus 8 --scale 0", "expected a number above 0, got 0"),
        ("--model llama3.2-11b --gpus 8 --slo-factor -1", "expected a number above 0, got -1"),
        ("--model llama3.2-11b --gpus 8 --start 1s", "expected --trace with --start, got none"),
        ("--model llama3.2-11b --gpus 8 --attainment 0.5", "expected --search with --attainment"),
        ("--model llama3.2-11b --gpus 8 --trace none.csv", "cannot read the trace none.csv: "),
        (
            "--model llama3.2-11b --gpus 8 --trace none.csv --request-rate 3",
            "expected --trace or --request-rate, got both",
        ),
        ("--model llama3.2-11b --gpus 8 --json /nowhere/a.json", "expected a folder for /nowhere"),
        ("--model llama3.2-11b --gpus 8 --plot /nowhere/plots", "expected a folder, or a place"),
    ],
)
def test_what_is_typed_wrong_is_one_sentence(
    line: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", *line.split()]) != 0
    complaint = capsys.readouterr().err
    assert re.search(expected, complaint)
    assert "a bug" not in complaint
    assert complaint.count("\n") == 1


def test_a_bad_row_is_named_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (trace := tmp_path / "azure.csv").write_text(AZURE.replace("103.0", "1.0"))
    assert run(["simulate", "--model", "llama3.2-11b", "--gpus", "8", "--trace", str(trace)]) == 1
    told = "line 4, column arrival_s: expected a number of seconds, 101 or more, got 1.0"
    assert capsys.readouterr().err == f"msctl: {trace}: {told}\n"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("1e300,0,500,9,0,1,2", "column arrival_s: expected a number of seconds, 1e\\+11 at most"),
        ("9e9,0,500,9,0,1,2", "expected requests within at most 31 days, got 1.04e\\+05 days"),
        ("200,999999999,5,9,0,1,2", "expected at most 1000 images of a request, got 999999999"),
    ],
)
def test_a_row_that_would_have_it_run_for_ever_is_one_sentence(
    row: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (trace := tmp_path / "azure.csv").write_text(f"{AZURE}{row}\n")
    assert run(["simulate", "--model", "llama3.2-11b", "--gpus", "8", "--trace", str(trace)]) == 1
    complaint = capsys.readouterr().err
    assert re.search(expected, complaint) and complaint.count("\n") == 1


def test_a_window_without_requests_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (trace := tmp_path / "azure.csv").write_text(AZURE)
    line = f"simulate --model llama3.2-11b --gpus 8 --trace {trace} --start 1h"
    assert run(line.split()) == 1
    assert capsys.readouterr().err == (
        "msctl: expected requests in azure.csv, got none in that time\n"
    )


def test_no_rate_holds_what_nobody_can_keep(capsys: pytest.CaptureFixture[str]) -> None:
    line = f"{SMALL} --slo-factor 0.1 --search"
    assert run(line.split()) == 1
    assert "expected a rate at which 99.0% are served as promised" in capsys.readouterr().err


def test_a_plot_without_matplotlib_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text(WITHOUT_MATPLOTLIB)
    shell = Shell(tmp_path)
    shell.env["PYTHONPATH"] = os.pathsep.join((str(tmp_path), shell.env.get("PYTHONPATH", "")))
    complaint = shell.fails(*SMALL.split(), "--plot", str(tmp_path / "plots"))
    assert complaint.endswith("got none: pip install 'modserve[bench]'")
