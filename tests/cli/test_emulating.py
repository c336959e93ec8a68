"""Emulated workers as processes, as a user starts them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from .shell import Shell, finished

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """With a controller alone."""
    shell = Shell(tmp_path_factory.mktemp("home"))
    process = shell.controller()
    yield shell
    assert shell.run("stop")[0] == 0
    assert finished(process) == 0


def test_many_emulated_workers_join_answer_and_leave(shell: Shell, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text('{"costs": {"link": {"latency_s": 0.001, "byte_s": 0}}, "kv_blocks": 500}')
    line = ("--stage", "text", "--emulate", str(profile), "--count", "5")
    code, out, complaint = shell.run("add-worker", *line)
    assert code == 0, complaint
    names = re.findall(r"worker (\S+) pid \d+ log \S+\n", out)
    assert sorted(names) == [f"text-{number}" for number in range(5)]
    code, body, _ = shell.run("generate", "Hello", "--json")
    assert code == 0
    assert re.match(r"w\d+ ", orjson.loads(body)["text"])
    for name in names:
        assert shell.run("remove-worker", name)[0] == 0


def test_a_profile_that_is_none_is_a_sentence(shell: Shell, tmp_path: Path) -> None:
    def told(profile: str) -> str:
        return shell.fails("add-worker", "--stage", "text", "--emulate", profile)

    (tmp_path / "odd.json").write_text('{"costs": 7}')
    assert "expected a profile in" in told(str(tmp_path / "odd.json"))
    assert "expected instant or a profile's file, got hare" in told("hare")
