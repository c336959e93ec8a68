"""profile as a user types it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from modserve.cli import measuring
from modserve.cli.controlling import TINY
from modserve.cli.main import run
from modserve.scheduler.costs.profile import Component, Profile, costs_from
from modserve.scheduler.costs.text import TextWork
from modserve.scheduler.costs.written import write
from modserve.transport.components import components
from modserve.transport.profiles import load_profiles

from ..scheduler.costs.examples import ENCODE, PREPROCESS, TEXT
from .shell import DEADLINE_S, MSCTL, Shell

WITHOUT_MATPLOTLIB = "raise ModuleNotFoundError('none', name='matplotlib')\n"


@pytest.mark.slow
def test_the_shipped_model_is_profiled(tmp_path: Path) -> None:
    """Whatever else the machine does: predictions are of the right size, and grow with the work."""
    shell, out = Shell(tmp_path / "home"), tmp_path / "profiles"
    line = f"profile --model tiny --device cpu --threads 1 --quick --out {out} --plot {out}.png"
    code, shown, complaint = shell.run(*line.split())
    assert (code, complaint) == (0, "")
    profiles = {profile.component: profile for profile in load_profiles(out)}
    assert profiles.keys() == set(Component)
    for component, profile in profiles.items():
        profile.check(components(TINY)[component], "cpu")
        assert 3 <= sum(point.held_out for point in profile.points) < len(profile.points) / 2
        assert profile.error is not None
        assert profile.error.median < 3
        assert f"{profile.error.median:.1%}" in shown
    assert (profiles[Component.TEXT].threads, profiles[Component.TEXT].model) == (1, "tiny")
    costs = costs_from(profiles.values())
    assert costs.preprocess is not None
    assert costs.encode is not None
    assert costs.text is not None
    assert 0 < costs.preprocess.seconds(10**4) < costs.preprocess.seconds(10**6) < 10
    assert 0 < costs.encode.seconds(24) < costs.encode.seconds(240) < 10
    short, long = (costs.text.seconds(TextWork([(0, tokens)])) for tokens in (32, 512))
    assert 0 < short < long < 10
    assert shown.count(f"profile {out}") == 3
    assert Path(f"{out}.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Profile]:
    """What a process that measures nothing tells: its command is as real as the usual one's."""
    profiles = [PREPROCESS, ENCODE, TEXT]
    events = [
        {"event": "measuring", "what": "text", "done": 1, "total": 2},
        *({"event": "profile", "text": write([profile])} for profile in profiles),
        {"event": "done"},
    ]
    lines = "\n".join(orjson.dumps(event).decode() for event in events)
    command = (sys.executable, "-c", "import sys; input(); print(sys.argv[1])", lines)
    monkeypatch.setattr(measuring, "COMMAND", command)
    return profiles


def test_json_is_the_profiles_and_their_file(
    told: list[Profile], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "all.json"
    assert run(["profile", "--model", "tiny", "--json", "--out", str(file)]) == 0
    shown = orjson.loads(capsys.readouterr().out)
    assert shown.pop("files") == [str(file)]
    assert shown == orjson.loads(file.read_bytes())
    assert load_profiles(file) == told


def test_the_table_has_a_row_for_each_point(
    told: list[Profile], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "all.png"
    line = ["profile", "--model", "tiny", "--out", str(tmp_path), "--plot", str(plot)]
    assert run(line) == 0
    shown = [
        " ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.split("\n")
    ]
    assert "encode 240 image tokens 2 30.00 ms 28.00 ms 7% yes" in shown
    assert "prefill 16 tokens 1 0 3.00 ms 3.00 ms 0%" in shown
    assert "decode 8 tokens 8 1,024 4.00 ms 3.81 ms 5% yes" in shown
    assert any(line.startswith("prefill + decode 579 tokens 5 316") for line in shown)
    assert "encode fixed 4 ms, token 100 µs 1 6.7% 6.7%" in shown
    assert "Predictions of text are more than 25% off: was the machine quiet?" in shown
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_profiles_are_kept_for_the_user(
    told: list[Profile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert run(["profile", "--model", "tiny"]) == 0
    assert len(load_profiles(tmp_path / "modserve" / "profiles")) == len(told)


@pytest.mark.slow
def test_ctrl_c_ends_the_process_that_measures(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    with subprocess.Popen(
        (*MSCTL, "profile", "--model", "tiny", "--device", "cpu"), env=environment
    ) as process:
        child = child_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 130
    assert not Path(f"/proc/{child}").exists()  # and its parent has waited for it


def child_of(pid: int) -> int:
    deadline = time.monotonic() + DEADLINE_S
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while time.monotonic() < deadline:
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.02)
    raise AssertionError(f"expected a child of {pid}, got none")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", "Missing option '--model'"),
        ("--model nowhere", "expected a folder with a checkpoint, a hub id, or tiny, got nowhere"),
        ("--model tiny --device tpu", "expected auto, cpu or cuda:N, got tpu"),
        ("--model tiny --threads -1", "Invalid value for '--threads'"),
        (
            "--model tiny --out /nowhere/all.json",
            "expected a folder for /nowhere/all.json",
        ),
        ("--model tiny --out /dev/null", "expected NAME.json or a folder, got /dev/null"),
        ("--model tiny --plot all.pdf", "expected NAME.png, got all.pdf"),
        (
            "--model tiny --plot /nowhere/all.png",
            "expected a folder for /nowhere/all.png",
        ),
    ],
)
def test_what_is_typed_wrong_is_one_sentence(
    line: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profile", *line.split()]) != 0
    complaint = capsys.readouterr().err
    assert expected in complaint
    assert complaint.count("\n") == 1


def test_a_plot_without_matplotlib_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text(WITHOUT_MATPLOTLIB)
    shell = Shell(tmp_path)
    shell.env["PYTHONPATH"] = os.pathsep.join((str(tmp_path), shell.env.get("PYTHONPATH", "")))
    complaint = shell.fails("profile", "--model", "tiny", "--plot", str(tmp_path / "all.png"))
    assert complaint.endswith("got none: pip install 'modserve[bench]'")


@pytest.mark.slow
def test_the_measuring_process_says_what_was_wrong(tmp_path: Path) -> None:
    options = {"model": str(tmp_path), "device": "cpu"}
    with pytest.raises(measuring.NotMeasured, match=r"expected a file at .*, got none"):
        measuring.measure(options)


def test_a_process_that_only_dies_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    dies = "import sys; print('no event'); sys.exit('something broke')"
    monkeypatch.setattr(measuring, "COMMAND", (sys.executable, "-c", dies))
    with pytest.raises(measuring.NotMeasured) as caught:
        measuring.measure({})
    assert str(caught.value) == (
        "expected profiles, got exit code 1; the last line of its log: something broke"
    )
