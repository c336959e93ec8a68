"""generate and status against a controller that follows a script."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from modserve.cli.main import run
from modserve.transport import messages as say

from ..client.scripted import (
    Script,
    Scripted,
    deltas,
    ended,
    greeting_then,
    hello_world,
    scripted,
    silence,
)

WORKER = {
    "name": "encode-0",
    "stages": ["encode"],
    "state": "ready",
    "loaded": 1.0,
    "pid": 41,
    "device": "cpu",
    "kv_blocks": 0,
    "kv_blocks_used": 0,
    "prefix_tokens": 100,
    "prefix_hit_tokens": 25,
    "store_bytes": 512 * 2**20,
    "store_bytes_used": 3 * 2**20,
    "pending_tokens": 0,
    "pending_image_tokens": 729,
    "running": 0,
    "waiting": 0,
    "tokens_per_s": 0.0,
    "image_tokens_per_s": 1234.4,
    "busy": 0.25,
    "resident_bytes": 400 * 2**20,
}
TEXT = {
    "name": "text-0",
    "stages": ["decode", "prefill"],
    "state": "loading",
    "loaded": 0.4,
    "kv_blocks": 2048,
    "kv_blocks_used": 17,
    "running": 3,
    "waiting": 2,
}
REPORT = {
    "controller": {
        "endpoint": "tcp://127.0.0.1:7700",
        "model": "/models/seven",
        "fingerprint": "f",
        "pid": 40,
        "uptime_s": 3725.0,
    },
    "workers": [WORKER, {**WORKER, **TEXT}],
    "requests": {
        "open": 5,
        "by_phase": {"decoding": 3, "queued": 2},
        "finished": 10,
        "failed": 1,
        "cancelled": 2,
        "rejected": 3,
        "degraded": 4,
    },
    "queues": {"text": 2, "images": 7},
    "image_cache": {"asked": 8, "found": 3},
    "rates": {"requests_per_s": 1.5, "tokens_per_s": 99.0, "image_tokens_per_s": 1234.4},
    "attainment": [],
    "journal": {"state": "writing", "folder": "/state/journal", "kept": 5, "error": ""},
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def reporting(report: object) -> Script:
    def script(
        controller: Scripted, identity: bytes, word: say.FromClient, frames: list[bytes]
    ) -> None:
        if isinstance(word, say.AskStatus):
            controller.say(identity, say.Report(word.ask, orjson.dumps(report)))
        else:
            greeting_then(silence)(controller, identity, word, frames)

    return script


def test_generate_prints_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(greeting_then(hello_world)) as controller:
        assert run(["generate", "Hi", "--controller", controller.endpoint]) == 0
    assert capsys.readouterr() == ("Hello world\n", "")


def test_generate_json_is_one_object(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(greeting_then(hello_world)) as controller:
        monkeypatch.setenv("MODSERVE_CONTROLLER", controller.endpoint)
        assert run(["generate", "Hi", "--json"]) == 0
    shown = orjson.loads(capsys.readouterr().out)
    assert shown["text"] == "Hello world"
    assert shown["token_ids"] == [7, 8, 9]
    assert shown["finish_reason"] == "stop"
    assert shown["usage"] == {"prompt_tokens": 5, "image_tokens": 0, "completion_tokens": 3}
    assert shown["timing"]["decode_s"] == 0.5


def test_options_reach_the_controller(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"pixels")
    line = f"generate Hi --image {tmp_path}/a.png --max-tokens 9 --temperature 0.5 --top-k 3"
    line += " --top-p 0.9 --min-p 0.1 --repetition-penalty 1.1 --presence-penalty 0.2"
    line += " --frequency-penalty 0.3 --seed 7 --stop a --stop b --stop-token-id 4"
    line += " --ignore-eos --logprobs 2 --timeout 1m"
    line += " --slo interactive --ttft-ms 700 --tpot-ms 30"
    with scripted(greeting_then(hello_world)) as controller:
        assert run([*line.split(), "--controller", controller.endpoint]) == 0
        (submit,) = [word for word in controller.heard if isinstance(word, say.Submit)]
    assert submit.timeout_s == 60
    assert (submit.slo, submit.ttft_ms, submit.tpot_ms) == ("interactive", 700, 30)
    assert submit.turns == (say.Turn("user", (say.ImagePart(0), say.TextPart("Hi"))),)
    assert submit.sampling == say.Sampling(
        max_tokens=9,
        temperature=0.5,
        top_k=3,
        top_p=0.9,
        min_p=0.1,
        repetition_penalty=1.1,
        presence_penalty=0.2,
        frequency_penalty=0.3,
        seed=7,
        stop=("a", "b"),
        stop_token_ids=(4,),
        ignore_eos=True,
        logprobs=2,
    )


def test_a_failed_request_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        controller.say(identity, ended(word.request_id, 0, "error", "gave up on the request"))

    with scripted(greeting_then(fail)) as controller:
        assert run(["generate", "Hi", "--controller", controller.endpoint]) == 1
    assert capsys.readouterr() == ("", "msctl: gave up on the request\n")


@pytest.mark.slow
def test_ctrl_c_cancels_the_request() -> None:
    def begin(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        controller.say(identity, deltas(word.request_id, 0, [7], "Hel"))

    with scripted(greeting_then(begin)) as controller:
        command = [sys.executable, "-m", "modserve.cli.main", "generate", "Hi"]
        command += ["--controller", controller.endpoint]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.read(3) == b"Hel"  # streamed, not kept until the end
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=20)
        assert process.returncode == 130
        assert b"Traceback" not in complaint
        controller.wait_for(say.Cancel)


def test_status_shows_workers_queues_memory_and_rates(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(reporting(REPORT)) as controller:
        assert run(["status", "--controller", controller.endpoint]) == 0
    shown = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "\x1b" not in shown
    assert lines[0] == "controller tcp://127.0.0.1:7700 pid 40 up 1 h 2 min"
    assert "state " in lines[2]
    assert "encode-0 encode ready cpu 41 - 729 img - 3 MiB/512 MiB 1234 img/s 25% 400 MiB" in lines
    assert (
        "text-0 prefill,decode loading 40% cpu 41 3 + 2 0 tok 17/2048 - 0 tok/s 25% 400 MiB"
        in lines
    )
    assert "requests open 5 (decoding 3, queued 2)" in lines
    assert "queues text 2 images 7" in lines
    assert "caches 50 of 200 prompt tokens found 3 of 8 images found" in lines
    assert "rates 1.50 requests/s 99 tokens/s 1234 image tokens/s" in lines


def test_status_says_that_the_journal_fails(capsys: pytest.CaptureFixture[str]) -> None:
    failing = {"state": "failing", "folder": "/state/journal", "kept": 0, "error": "disk is full"}
    with scripted(reporting({**REPORT, "journal": failing})) as controller:
        assert run(["status", "--controller", controller.endpoint]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "journal failing: disk is full" in lines


def test_attainment_has_a_table_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    def counts(sent: int, met: int) -> dict[str, object]:
        return {"sent": sent, "met": met, "attainment": met / sent}

    row = {"slo": "interactive", "modality": "image", "window_s": 300.0, **counts(123456, 123450)}
    stages = {"encode": counts(10, 9), "prefill": counts(9, 9)}
    with scripted(reporting({**REPORT, "attainment": [{**row, "stages": stages}]})) as controller:
        assert run(["status", "--controller", controller.endpoint]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-2].split() == [
        *("class", "requests", "within", "sent", "in", "time", "encode", "prefill", "decode")
    ]
    assert " ".join(shown[-1].split()) == ("interactive image 300 s 123456 99.9% 90.0% 100.0% -")
    assert max(map(len, shown[-2:])) <= 80


def test_status_without_workers_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(reporting({**REPORT, "workers": []})) as controller:
        assert run(["status", "--controller", controller.endpoint]) == 0
    assert "no workers yet: msctl add-worker --stage all" in capsys.readouterr().out


def test_status_json_is_the_report_and_the_state_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with scripted(reporting(REPORT)) as controller:
        assert run(["status", "--json", "--controller", controller.endpoint]) == 0
    shown = orjson.loads(capsys.readouterr().out)
    assert shown["workers"] == REPORT["workers"]
    assert Path(shown["controller"]["state_folder"]).is_relative_to(tmp_path)
