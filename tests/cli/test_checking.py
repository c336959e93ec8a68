"""check-config, and a controller that is started with a file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import orjson
import pytest

import modserve
from modserve.cli.main import run

from .shell import Shell, finished

EXAMPLE = Path(modserve.__file__).parent / "examples" / "modserve.toml"


def test_the_example_is_shown_with_the_defaults_filled_in(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["check-config", str(EXAMPLE)]) == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "controller.journal true" in lines
    assert "scaling.policy off" in lines
    assert "interactive 400 ms 1.5 ms 50 ms 0 standard" in lines
    assert "batch 60000 ms 10 ms 1000 ms 2 refused" in lines
    assert "encode 1 4 2" in lines
    assert max(map(len, out.splitlines())) <= 80


def test_json_has_the_keys_of_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check-config", str(EXAMPLE), "--json"]) == 0
    shown = orjson.loads(capsys.readouterr().out)
    tables = ["controller", "admission", "slo", "stages", "scaling", "launching", "policies"]
    assert list(shown) == tables
    assert shown["stages"]["text"] == {"min": 1, "max": 2, "start": 1}
    assert shown["slo"][0]["name"] == "interactive"


def test_a_file_without_stages_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.toml").write_text("")
    assert run(["check-config", str(tmp_path / "a.toml")]) == 0
    assert "workers are not limited" in capsys.readouterr().out


def test_brackets_in_a_value_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.toml").write_text("[launching]\ndata_host = '[/b][fe80::1]'")
    assert run(["check-config", str(tmp_path / "a.toml")]) == 0
    assert "[/b][fe80::1]" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["check-config", "start-controller --config"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[scaling]\npolicy = 'papper'", "scaling.policy: expected one of off, paper, modserve"),
        ("[stages.encode]\nmax = 0", "stages.encode.max: expected a whole number from 1 up, got 0"),
        ("[controller]\nmodel = 'tiny'\nkeys = '/nowhere'", "/nowhere/controller.json"),
        ("[controller]\nmodel = '/nowhere'", "a checkpoint, a hub id, or tiny, got /nowhere"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    command: str, text: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "modserve.toml"
    file.write_text(text)
    assert run([*command.split(), str(file)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert expected in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.slow
def test_a_controller_does_what_its_file_says_unless_the_command_line_does(tmp_path: Path) -> None:
    file = tmp_path / "modserve.toml"
    file.write_text(
        """
        [controller]
        model = "tiny"
        bind = "tcp://127.0.0.1:9"
        journal = false
        [slo.mine]
        ttft_ms = 5
        tpot_ms = 6
        """
    )
    shell = Shell(tmp_path)
    process = shell.controller("--config", str(file))
    try:
        code, out, _ = shell.run("status", "--json")
        assert code == 0
        shown = orjson.loads(out)
        assert not shown["controller"]["endpoint"].endswith(":9")
        assert shown["journal"]["state"] == "off"
        assert "mine" in {one["name"] for one in shown["slo_classes"]}
        complaint = shell.fails("generate", "Hi", "--slo", "mini")
        assert complaint.endswith("got mini; did you mean mine?")
        assert shell.run("stop")[0] == 0
        assert finished(process) == 0
    finally:
        stop(process)


def stop(process: subprocess.Popen[str]) -> None:
    """Whatever became of the test."""
    if process.poll() is None:
        process.terminate()
        process.communicate(timeout=30)
