"""plan as a user types it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from modserve.cli.main import run

from .test_sources import AZURE

HEADER = AZURE.splitlines()[0]
ROWS = [f"{number / 4},{number % 2},{1300 + number},4,{number % 2},0,0" for number in range(40)]
SMALL = "plan --model llava-ov-7b --gpu h100 --attainment 0.9 --tolerance 0.5"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    (file := tmp_path / "small.csv").write_text("\n".join((HEADER, *ROWS)) + "\n")
    return file


def planned(capsys: pytest.CaptureFixture[str], trace: Path, *options: str) -> dict[str, Any]:
    assert run([*SMALL.split(), "--trace", str(trace), "--json", "-", *options]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    body: dict[str, Any] = orjson.loads(shown.out)
    return body


@pytest.mark.slow
def test_the_fewest_gpus_for_a_rate(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(capsys, trace, "--scale", "5")
    again = planned(capsys, trace, "--rate", str(found["wanted_req_s"]))
    assert (found.pop("wall_s"), again.pop("wall_s")) > (0, 0)
    assert found == again
    best, others = found["best"], found["others"]
    assert best["holds"]
    assert best["attainment"] >= 0.9
    assert best["rate_req_s"] == pytest.approx(5 * 40 / 9.75)
    assert others
    assert all(one["gpus"] >= best["gpus"] for one in others)
    assert all(not one["found"]["holds"] for one in found["changes"] if one["by"] < 0)
    told = found["splitting"]["told"]
    assert told.startswith(("Splitting pays: ", "Splitting does not pay: ", "Splitting makes no "))
    sides = [found["splitting"][side]["gpus"] for side in ("all", "split")]
    assert best["gpus"] == min(sides)


def test_the_best_use_of_gpus_on_the_screen(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    line = f"{SMALL} --trace {trace} --gpus 2 --num-prompts 30 --json {file}"
    assert run(line.split()) == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert shown[0] == (
        "the highest rate on 2 GPUs: llava-ov-7b on h100, small.csv, per-request SLO x 5 for 90.0%"
    )
    assert shown[1] == "layout GPUs req/s in time"
    found = orjson.loads(file.read_bytes())
    best = found["best"]
    assert shown[2].startswith(f"1 {best['layout']} {best['gpus']} {best['rate_req_s']:,.2f} ")
    assert best["gpus"] <= 2
    assert all(one["rate_req_s"] <= best["rate_req_s"] for one in found["others"])
    assert found["splitting"]["told"] in shown
    assert "small.csv: the first 30 of its requests (--num-prompts)." in shown
    assert "one worker of the best more or fewer:" in shown


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--model llava-ov-7b", "Missing option '--trace'"),
        ("--model gpt --trace TRACE", "expected a model of llama3.2-11b, .*, got 'gpt'"),
        ("--model llava-ov-7b --trace none.csv", "cannot read the trace none.csv: "),
        ("--model llava-ov-7b --trace TRACE --gpus 2 --rate 3", "--gpus or --rate, got both"),
        ("--model llava-ov-7b --trace TRACE --gpus 2 --scale 3", "--gpus or --scale, got both"),
        ("--model llava-ov-7b --trace TRACE --rate 0", "expected a number above 0, got 0"),
        ("--model llava-ov-7b --trace TRACE --json /nowhere/a", "expected a folder for /nowhere"),
        (
            "--model llava-ov-72b --trace TRACE --gpus 2",
            "expected at least [0-9]+ GPUs for llava-ov-72b on a100, got 2",
        ),
        (
            "--model llava-ov-7b --trace TRACE --slo-factor 0.1",
            "expected an SLO that an idle cluster keeps for 99.0% of the requests, got one",
        ),
        (
            "--model llava-ov-7b --trace TRACE --num-prompts 1",
            "expected requests at different times in small.csv, got 1 at one",
        ),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(
    line: str, expected: str, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", *line.replace("TRACE", str(trace)).split()]) != 0
    complaint = capsys.readouterr().err
    assert re.search(expected, complaint)
    assert "a bug" not in complaint
    assert complaint.count("\n") == 1
