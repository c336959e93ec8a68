"""msctl against a real controller and real workers, as a user types it."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import orjson
import pytest

from modserve.cli.demo import PICTURES, REQUESTS

from .shell import Shell, finished, gone

pytestmark = pytest.mark.slow


def test_generate_streams_a_text_and_json_tells_the_same(shell: Shell) -> None:
    line = ("generate", "What is this?", "--image", str(PICTURES / "seven.png"))
    code, text, complaint = shell.run(*line)
    assert (code, complaint) == (0, "")
    code, body, _ = shell.run(*line, "--json")
    shown = orjson.loads(body)
    assert code == 0
    assert shown["text"] + "\n" == text
    assert shown["usage"]["completion_tokens"] == len(shown["token_ids"])
    assert shown["usage"]["image_tokens"] > 0
    assert set(shown) == {"text", "token_ids", "finish_reason", "usage", "timing", "request_id"}


def test_a_picture_that_is_none_is_a_sentence(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("not a picture")
    complaint = shell.fails("generate", "What?", "--image", str(tmp_path / "note.png"))
    assert complaint.startswith("msctl: ")


def test_status_lists_the_worker(shell: Shell) -> None:
    code, body, _ = shell.run("status", "--json")
    report = orjson.loads(body)
    assert code == 0
    assert report["controller"]["endpoint"] == shell.env["MODSERVE_CONTROLLER"]
    (worker,) = report["workers"]
    assert (worker["name"], worker["state"]) == ("all-0", "ready")
    code, shown, _ = shell.run("status")
    assert code == 0
    assert "all-0" in shown


def test_a_port_in_use_is_a_sentence(shell: Shell) -> None:
    bind = shell.env["MODSERVE_CONTROLLER"]
    complaint = shell.fails("start-controller", "--model", "tiny", "--bind", bind)
    assert f"cannot bind {bind}" in complaint


def test_an_unknown_worker_is_a_sentence(shell: Shell) -> None:
    assert "(all-0), got nobody" in shell.fails("remove-worker", "nobody")


def test_a_gpu_that_is_not_there_is_a_sentence(shell: Shell) -> None:
    complaint = shell.fails("add-worker", "--stage", "all", "--gpu", "4096")
    assert re.search(r"expected one of the \d+ GPUs of this host, got cuda:4096", complaint)


def test_a_name_that_is_taken_is_a_sentence(shell: Shell) -> None:
    complaint = shell.fails("add-worker", "--stage", "all", "--name", "all-0")
    assert "expected a free name, got all-0" in complaint


def test_without_the_token_nothing_is_stopped(shell: Shell, tmp_path: Path) -> None:
    stranger = Shell(tmp_path)
    stranger.env["MODSERVE_CONTROLLER"] = shell.env["MODSERVE_CONTROLLER"]
    assert "expected the token of" in stranger.fails("stop")
    assert "expected the token of" in stranger.fails("add-worker", "--stage", "all")


def test_a_worker_comes_and_goes(shell: Shell) -> None:
    name, pid, log = shell.worker("--stage", "encode", "--name", "eye")
    assert name == "eye"
    assert log.exists()
    assert shell.run("remove-worker", "eye")[0] == 0
    assert gone(pid)
    assert "eye" not in shell.run("status")[1]


def test_ctrl_c_while_loading_stops_the_worker(shell: Shell) -> None:
    line = ("add-worker", "--stage", "all", "--name", "brief")
    with shell.start(*line) as process:
        deadline = time.monotonic() + 30
        while not (pids := children(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert finished(process) == 130
    assert gone(pids[0])


def children(pid: int) -> list[int]:
    """Worker processes that `pid` started, whichever of its threads did."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


@pytest.mark.parametrize(
    ("number", "worker"),
    [(signal.SIGTERM, ()), (signal.SIGINT, ("--emulate", "instant"))],
    ids=["SIGTERM", "SIGINT, an emulated one"],
)
def test_a_signal_ends_the_controller_and_its_workers(
    tmp_path: Path, number: int, worker: tuple[str, ...]
) -> None:
    shell = Shell(tmp_path)
    process = shell.controller()
    _, pid, _ = shell.worker("--stage", "encode", *worker)
    process.send_signal(number)
    assert finished(process) == 0
    assert gone(pid)


def test_a_worker_in_the_foreground_stays_until_it_is_told(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    controller = shell.controller()
    with shell.start("add-worker", "--stage", "encode", "--foreground", "--json") as worker:
        assert worker.stdout is not None
        joined = orjson.loads(worker.stdout.readline())
        assert joined["name"] == "encode-0"
        worker.send_signal(signal.SIGTERM)
        assert finished(worker) == 0
    assert gone(joined["pid"])
    assert shell.run("stop")[0] == 0
    assert finished(controller) == 0


def test_stop_leaves_the_address_free(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    first = shell.controller()
    assert shell.run("stop", "--drain")[0] == 0
    bind = shell.env["MODSERVE_CONTROLLER"]
    second = shell.start("start-controller", "--model", "tiny", "--bind", bind)
    assert second.stdout is not None
    assert second.stdout.readline() == f"ready {bind}\n"
    assert shell.run("stop")[0] == 0
    assert (finished(first), finished(second)) == (0, 0)


def test_the_demo_gives_right_answers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.env["TMPDIR"] = str(tmp_path)
    code, shown, complaint = shell.run("demo")
    assert code == 0, shown + complaint
    assert f"{len(REQUESTS)} of {len(REQUESTS)} answers are right" in shown
    for pid in re.findall(r"pid (\d+)", shown):
        assert gone(int(pid))
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.env["TMPDIR"] = str(tmp_path)
    with shell.start("demo") as process:
        assert process.stdout is not None
        pids: list[str] = []
        while len(pids) < 2:  # the controller's and a worker's
            pids += re.findall(r"pid (\d+)", process.stdout.readline())
        process.kill()
        finished(process)
    assert all(gone(int(pid)) for pid in pids)


def test_a_demo_in_bursts_that_is_interrupted_ends_its_processes_and_shows_what_it_saw(
    tmp_path: Path,
) -> None:
    shell = Shell(tmp_path)
    shell.env["TMPDIR"] = str(tmp_path)
    plot = tmp_path / "burst.png"
    with shell.start("demo", "--burst", "--plot", str(plot)) as process:
        assert process.stdout is not None
        while "one worker can do" not in process.stdout.readline():
            assert process.poll() is None
        pids = [pid for child in children(process.pid) for pid in (child, *children(child))]
        assert len(pids) >= 3, "a controller and two workers"
        process.send_signal(signal.SIGINT)
        assert finished(process) == 130
    assert all(gone(pid) for pid in pids)
    assert list(tmp_path.glob("modserve-*")) == []


def test_what_the_demo_expects_is_what_the_examples_promise() -> None:
    listed = (PICTURES / "README.md").read_text()
    for asked in REQUESTS:
        if asked.images:
            row = f"| {' '.join(asked.images)} | {asked.question} | {asked.answer} |"
            assert row in listed


def test_with_keys_who_has_some_is_answered_and_no_secret_is_told(tmp_path: Path) -> None:
    shell, keys = Shell(tmp_path), tmp_path / "keys"
    code, out, _ = shell.run("keygen", "alice", "--folder", str(keys))
    assert (code, out) == (0, f"{keys / 'alice.json'}\n")
    controller = shell.controller("--keys", str(keys))
    shell.env["MODSERVE_KEYS"] = str(keys / "alice.json")
    _, pid, log = shell.worker("--stage", "all")
    code, out, complaint = shell.run("generate", "How many legs has a cat?", "--max-tokens", "4")
    assert (code, bool(out.strip())) == (0, True), complaint
    code, report, _ = shell.run("status", "--json")
    lines = [Path(f"/proc/{one}/cmdline").read_text() for one in (pid, controller.pid)]
    assert shell.run("stop")[0] == 0
    _, complaints = controller.communicate(timeout=30)
    told = [report, complaints, log.read_text(), *lines]
    files = [path.read_bytes() for path in keys.glob("*.json")]
    secrets = [str(orjson.loads(file)["secret"]) for file in files]
    assert len(secrets) == 2
    assert not any(secret in text for secret in secrets for text in told)


def test_caches_can_be_switched_off_and_a_worker_told_to_yield(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    controller = shell.controller("--prefix-cache", "0", "--image-cache", "0")
    _, pid, _ = shell.worker("--stage", "all", "--nice", "7")
    for _ in range(2):
        line = ("generate", "What is this?", "--image", str(PICTURES / "seven.png"))
        assert shell.run(*line)[0] == 0
    report = orjson.loads(shell.run("status", "--json")[1])
    threads = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    group = Path(f"/proc/{pid}/autogroup")
    session = group.read_text().split()[-1] if group.exists() else "7"
    assert shell.run("stop")[0] == 0
    assert finished(controller) == 0
    assert session == "7", "or niceness would count for nothing among sessions"
    assert report["image_cache"] == {"asked": 2, "found": 0}
    (worker,) = report["workers"]
    assert (worker["prefix_tokens"], worker["kv_blocks_cached"]) == (0, 0)
    nices = {line.rpartition(")")[2].split()[16] for line in threads}
    assert nices == {"0", "7"}, "what computes yields, what speaks does not"


def test_an_address_that_others_reach_needs_keys(tmp_path: Path) -> None:
    said = Shell(tmp_path).fails("start-controller", "--model", "tiny", "--bind", "tcp://0.0.0.0:0")
    assert "expected a loopback address, or --keys, or --insecure" in said
