"""What users type wrong: one sentence on stderr, 2 for usage and 1 for the rest, no traceback."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from modserve.cli.main import run

COMMANDS = (
    *("start-controller", "check-config", "add-worker", "remove-worker", "status"),
    *("set-stage", "drain", "scale", "events"),
    *("generate", "bench", "profile", "simulate", "plan", "stop", "demo"),
)


@pytest.fixture(autouse=True)
def nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("MODSERVE_CONTROLLER", raising=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Example: msctl {command}" in shown
    assert "\x1b" not in shown


def test_without_a_command_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("frobnicate", "No such command 'frobnicate'"),
        ("status --nope", "No such option: --nope"),
        ("status --controller here", "expected an address like tcp://127.0.0.1:7700, got here"),
        ("generate", "Missing argument 'PROMPT'"),
        (
            "generate Hi --max-tokens 0",
            "expected max_tokens to be a whole number from 1 to 2147483647",
        ),
        ("generate Hi --temperature nan", "expected temperature to be a number from 0 up, got nan"),
        ("generate Hi --max-tokens many", "Invalid value for '--max-tokens'"),
        ("generate Hi --tpot-ms 0", "expected tpot_ms to be a number of ms above 0, got 0"),
        ("generate Hi --timeout soon", "expected a time like 60s or 5m, got soon"),
        ("add-worker", "Missing option '--stage'"),
        ("add-worker --stage see", "expected a stage of encode, prefill, decode, text, all"),
        ("add-worker --stage encode,see", "got see"),
        ("add-worker --stage all --gpu 1 --device cpu", "expected --gpu or --device, got both"),
        ("add-worker --stage all --device tpu", "expected auto, cpu or cuda:N, got tpu"),
        (
            "add-worker --stage all --controller tcp://10.0.0.1:7700",
            "expected --data-host with tcp://10.0.0.1:7700, got none",
        ),
        ("remove-worker", "Missing argument 'NAME'"),
        ("scale", "Missing argument 'ROLE=N…'"),
        ("scale text", "expected a role and a number like encode=3, got text"),
        ("scale text=many", "expected a role and a number like encode=3, got text=many"),
        ("scale text=1 text=2", "expected each role once, got text twice"),
        ("scale paint=1", "expected a role of encode, prefill, decode, text, all, got paint"),
        ("scale text=1 encode=-1", "expected from 0 to 1024 workers of encode, got -1"),
        ("events --since yesterday", "expected a time like 60s or 5m, got yesterday"),
        ("start-controller --model tiny --gpus all", "expected GPU numbers like 0,1, got all"),
        ("start-controller --model tiny --ray-resources text=2", "with its need like text=4cpu"),
        ("demo --switch", "expected --burst with --switch, got none"),
        ("demo --plot a.png", "expected --burst with --plot, got none"),
        ("demo --burst --plot a.gif", "expected NAME.png, got a.gif"),
        ("set-stage --stage text", "Missing argument 'NAME'"),
        ("set-stage a", "Missing option '--stage'"),
        ("set-stage a --stage text,see", "expected a stage of encode, prefill, decode, text, all"),
        ("drain", "Missing argument 'NAME'"),
        ("drain a --timeout soon", "expected a time like 60s or 5m, got soon"),
        ("remove-worker a --timeout 0", "expected a time like 60s or 5m, got 0"),
        ("start-controller --bind here", "expected an address like tcp://127.0.0.1:7700, got here"),
    ],
)
def test_bad_usage_is_one_sentence(
    line: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert expected in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("generate Hi --image /nowhere.png", "cannot read image /nowhere.png: No such file"),
        (
            "start-controller --model /nowhere",
            "a checkpoint, a hub id, or tiny",
        ),
        ("start-controller --model tiny --bind tcp://0.0.0.0:0", "or --insecure"),
        (
            "start-controller --model tiny --launcher slurm",
            "expected a launcher of manual, local, ray, got slurm",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(
    line: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line.split()) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert expected in shown.err
    assert shown.err.count("\n") == 1


def test_the_commands_need_no_torch() -> None:
    code = "import sys, modserve.cli.main; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_default_model_says_so_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    from modserve.cli.controlling import TINY, model_folder

    assert model_folder(None) == TINY
    assert re.fullmatch(r".*serving tiny.*\n", capsys.readouterr().err)
    assert model_folder("tiny") == TINY
    assert capsys.readouterr().err == ""
    assert (TINY / "config.json").exists()


def test_a_folder_is_no_place_for_a_plot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "plot.png"
    folder.mkdir()
    assert run(["demo", "--burst", "--plot", str(folder)]) == 2
    assert f"expected a file, got the folder {folder}" in capsys.readouterr().err
