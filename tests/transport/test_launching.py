"""Waiting for a worker process, whatever it does instead of joining."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from modserve.transport.launching import Joined, Launch, WorkerFailed

READY = """
print('{"event": "loading", "done": 1, "total": 2}')
print("some library says hello")
print('{"event": "ready", "name": "encode-0", "pid": 7}', flush=True)
sys.stdin.read()
"""


def launch(tmp_path: Path, code: str, *, detached: bool = True) -> Launch:
    program = f"import os, sys, time, json\n{code}"
    command = [sys.executable, "-c", program]
    return Launch(
        {"token": "secret"}, tmp_path / "logs" / "w.log", detached=detached, command=command
    )


def failure(one: Launch, timeout_s: float = 30.0) -> str:
    with pytest.raises(WorkerFailed) as caught:
        one.joined(timeout_s, lambda done, total: None)
    assert one.process.returncode is not None
    return str(caught.value)


def test_progress_is_told_and_then_who_joined(tmp_path: Path) -> None:
    one, told = launch(tmp_path, READY), []
    joined = one.joined(30, lambda done, total: told.append((done, total)))
    assert joined == Joined("encode-0", 7, tmp_path / "logs" / "w.log")
    assert told == [(1, 2)]
    one.process.wait(10)
    one.stop()


def test_options_come_as_one_line_with_the_path_of_the_log(tmp_path: Path) -> None:
    code = "print(json.dumps({'event': 'error', 'reason': sys.stdin.readline()}))"
    line = failure(launch(tmp_path, code))
    assert line == f'{{"token":"secret","log":"{tmp_path}/logs/w.log"}}\n'


def test_the_worker_has_its_own_words_for_what_went_wrong(tmp_path: Path) -> None:
    code = """print('{"event": "error", "reason": "expected a GPU"}', flush=True); time.sleep(60)"""
    begun = time.monotonic()
    assert failure(launch(tmp_path, code)) == "expected a GPU"
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("sys.exit('no such thing')", "got exit code 1; the last line of {log}: no such thing"),
        ("os.kill(os.getpid(), 9)", "got signal SIGKILL; the last line of {log}: none"),
    ],
)
def test_a_worker_that_dies_without_a_word_is_described(
    tmp_path: Path, code: str, expected: str
) -> None:
    log = tmp_path / "logs" / "w.log"
    assert failure(launch(tmp_path, code)) == f"expected a ready worker, {expected.format(log=log)}"


def test_a_worker_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    one = launch(tmp_path, "time.sleep(600)")
    assert failure(one, 0.2) == "expected the worker to be ready in 0.2 s"


def test_in_the_foreground_the_log_is_shown_and_kept(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    code = f"print('a word', file=sys.stderr, flush=True)\n{READY}\nsys.exit(3)"
    one = launch(tmp_path, code, detached=False)
    one.joined(30, lambda done, total: None)
    assert one.wait() == 3
    assert (tmp_path / "logs" / "w.log").read_bytes() == b"a word\n"
    assert capfdbinary.readouterr().err == b"a word\n"
