"""msctl top in a terminal, beside a real controller; and where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..shell import Shell, finished
from .screen import screen

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """With a controller and two emulated workers."""
    shell = Shell(tmp_path_factory.mktemp("home"))
    process = shell.controller()
    for stage in ("encode", "text"):
        assert shell.run("add-worker", "--stage", stage, "--emulate", "instant")[0] == 0
    yield shell
    assert shell.run("stop")[0] == 0
    assert finished(process) == 0


def test_a_person_looks_sorts_pauses_and_leaves(shell: Shell) -> None:
    with screen("top", "--interval", "200ms", env=shell.env) as seen:
        first = seen.shows("q quit")
        assert "modserve tcp://127.0.0.1:" in first
        assert "encode-0" in first
        seen.press(b"s")
        seen.shows("s sort: busy")
        seen.press(b" ")
        assert "PAUSED" in seen.shows("p go on")
        seen.resize(120, 30)
        seen.shows("device")
        seen.press(b"p")
        seen.shows("p pause")
        seen.press(b"q")
        assert seen.ends() == 0
        assert seen.raw.count("\x1b[?1049h") == seen.raw.count("\x1b[?1049l") == 1


def test_ctrl_c_leaves_the_terminal_as_it_was(shell: Shell) -> None:
    with screen("top", env=shell.env) as seen:
        seen.shows("q quit")
        seen.press(b"\x03")
        assert seen.ends() == 130
        assert seen.raw.count("\x1b[?1049l") == 1


def test_a_worker_is_drained_after_a_yes(shell: Shell) -> None:
    with screen("top", "--interval", "100ms", env={**shell.env, "NO_COLOR": "1"}) as seen:
        seen.shows("q quit")
        seen.press(b"\x1b[", b"B")
        seen.shows("▸ encode-0")
        seen.press(b"d")
        seen.shows("drain encode-0")
        seen.press(b"n")
        seen.shows("encode-0 was not drained")
        seen.press(b"d", b"y")
        seen.shows("encode-0 has left")
        seen.press(b"q")
        assert seen.ends() == 0
        assert "\x1b[31m" not in seen.raw


def test_one_frame_goes_into_a_pipe(shell: Shell) -> None:
    code, out, complaint = shell.run("top", "--once")
    assert (code, complaint) == (0, "")
    lines = out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("modserve tcp://127.0.0.1:")
    assert "\x1b" not in out


def test_without_a_terminal_it_says_what_to_do_instead(shell: Shell) -> None:
    told = "expected a terminal, got a pipe or a file: msctl top --once prints a single frame"
    assert told in shell.fails("top")


def test_a_controller_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    process = shell.controller()
    with screen("top", "--interval", "100ms", env=shell.env) as seen:
        seen.shows("no workers yet")
        process.kill()
        finished(process)
        seen.shows("expected a report")
        seen.press(b"q")
        assert seen.ends() == 0
