"""Workers that the controller launches itself: real processes, as a user scales them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from modserve.cli.demo import PICTURES

from .shell import DEADLINE_S, Shell, finished, gone

pytestmark = pytest.mark.slow

ANSWER = "This is the digit 7.\n"


def workers(shell: Shell) -> dict[str, dict[str, Any]]:
    code, body, complaint = shell.run("status", "--json")
    assert code == 0, complaint
    return {one["name"]: one for one in orjson.loads(body)["workers"]}


def events(shell: Shell, kind: str, count: int = 1) -> list[dict[str, Any]]:
    """Those of a kind, waited for."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        code, body, complaint = shell.run("events", "--json")
        assert code == 0, complaint
        found = [one for one in orjson.loads(body)["events"] if one["kind"] == kind]
        if len(found) >= count:
            return found
    raise AssertionError(f"expected {count} events of kind {kind}, got {found}")


def ask(shell: Shell) -> str:
    """A question about a picture: its answer."""
    line = ("generate", "What is this?", "--image", str(PICTURES / "seven.png"))
    code, text, complaint = shell.run(*line)
    assert code == 0, complaint
    return text


@contextmanager
def controlled(shell: Shell, *options: str) -> Iterator[None]:
    """With a controller that is stopped, and its workers with it; after a failure, too."""
    process = shell.controller(*options)
    try:
        yield
        assert shell.run("stop")[0] == 0
        assert finished(process) == 0
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE_S)


def scaled(shell: Shell, *line: str) -> list[str]:
    code, out, complaint = shell.run("scale", *line, "--wait")
    assert code == 0, complaint
    return out.splitlines()


def test_workers_come_and_go_as_they_are_asked_for(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    pids: dict[str, int] = {}
    with controlled(shell, "--launcher", "local"):
        assert scaled(shell, "encode=1", "text=1") == [
            "launch encode-0 (local)",
            "launch text-0 (local)",
        ]
        assert ask(shell) == ANSWER
        pids = {name: one["pid"] for name, one in workers(shell).items()}
        assert pids.keys() == {"encode-0", "text-0"}
        os.kill(pids["encode-0"], signal.SIGKILL)
        see_the_loss(shell)
        assert scaled(shell, "encode=1") == ["launch encode-0 (local)"]
        assert ask(shell) == ANSWER
        pids |= {f"{name} now": one["pid"] for name, one in workers(shell).items()}
        assert scaled(shell, "encode=0") == ["drain encode-0"]
        assert gone(pids["encode-0 now"])
        assert workers(shell).keys() == {"text-0"}
    assert all(gone(pid) for pid in pids.values())


def see_the_loss(shell: Shell) -> None:
    """Of encode-0, in the events; and the first of them, as they are followed."""
    (ended,) = events(shell, "ended")
    assert ended["sentence"].startswith("the process of encode-0 ended: signal SIGKILL")
    (lost,) = events(shell, "lost")
    assert lost["fields"] == {"worker": "encode-0"}
    with shell.start("events", "--follow", "--since", "10m") as following:
        assert following.stdout is not None
        first = following.stdout.readline()
        assert " scale " in first
        assert first.endswith("launch encode-0 (local)\n")
        following.send_signal(signal.SIGINT)
        assert finished(following) == 130


def test_one_that_cannot_start_is_told_in_its_own_words_and_is_not_left_behind(
    tmp_path: Path,
) -> None:
    shell = Shell(tmp_path)
    with controlled(shell, "--launcher", "local", "--gpus", "4096"):
        code, out, _ = shell.run("scale", "encode=1")
        assert (code, out) == (0, "launch encode-0 (local)\n")
        failed = events(shell, "launch-failed")[0]
        assert "GPUs of this host, got cuda:4096" in failed["sentence"]
        assert failed["fields"]["again_s"] > 0
