"""set-stage and drain as a user types them, with the small model that ships."""

from __future__ import annotations

import re

import orjson
import pytest

from .shell import Shell, gone

pytestmark = pytest.mark.slow


def set_stage(shell: Shell, name: str, stage: str) -> dict[str, object]:
    code, body, complaint = shell.run("set-stage", name, "--stage", stage, "--json")
    assert (code, complaint) == (0, "")
    told: dict[str, object] = orjson.loads(body)
    print(told)
    return told


def test_a_worker_goes_there_and_back_and_loads_nothing(shell: Shell) -> None:
    for stage, stages in (
        ("encode", ["encode"]),
        ("prefill,decode", ["decode", "prefill"]),
        ("all", ["decode", "encode", "prefill"]),
    ):
        told = set_stage(shell, "all-0", stage)
        assert (told["name"], told["stages"], told["loaded_bytes"]) == ("all-0", stages, 0)
    assert shell.run("generate", "Say seven.", "--max-tokens", "4")[0] == 0


def test_it_says_what_it_did_in_one_line(shell: Shell) -> None:
    code, out, _ = shell.run("set-stage", "all-0", "--stage", "all")
    assert code == 0
    assert re.fullmatch(
        r"worker all-0 serves all after [\d.]+ s: 0.00 s to drain, 0.00 s to switch, 0 bytes of "
        r"weights loaded\n",
        out,
    )


def test_an_unknown_worker_is_a_sentence(shell: Shell) -> None:
    assert "(all-0), got nobody" in shell.fails("set-stage", "nobody", "--stage", "text")
    assert "(all-0), got nobody" in shell.fails("drain", "nobody")


def test_a_drained_worker_has_left(shell: Shell) -> None:
    _, pid, _ = shell.worker("--stage", "encode", "--name", "eye")
    code, body, _ = shell.run("drain", "eye", "--json")
    assert (code, orjson.loads(body)["name"]) == (0, "eye")
    assert gone(pid)
