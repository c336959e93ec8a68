"""scale and events against a controller that follows a script."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from modserve.cli.main import run
from modserve.transport import messages as say
from modserve.transport.state import StateFolder

from ..client.scripted import Script, Scripted, greeting_then, scripted, silence

EVENTS = tuple(
    say.Event(number, 1e9 + number, kind, sentence, {"worker": "text-0"})
    for number, (kind, sentence) in enumerate(
        [("scale", "launch text-0 (local)"), ("given-up", "text-0 is given up"), ("left", "gone")],
        start=1,
    )
)


def script(*states: str, known: int = len(EVENTS)) -> Script:
    """One worker of role text whose state changes with every question; two events an answer."""
    later = list(states)

    def answer(
        controller: Scripted, identity: bytes, word: say.FromClient, frames: list[bytes]
    ) -> None:
        match word:
            case say.Scale():
                controller.say(identity, say.Scaled(word.ask, ("launch text-0 (local)",), 0))
            case say.AskEvents():
                told = [e for e in EVENTS[:known] if e.number > word.after and e.time >= word.since]
                controller.say(identity, say.Events(word.ask, tuple(told[:2]), known))
            case say.AskStatus():
                state = later.pop(0) if len(later) > 1 else later[0]
                worker = {"name": "text-0", "stages": ["decode", "prefill"], "state": state}
                body = orjson.dumps({"workers": [worker] if state else []})
                controller.say(identity, say.Report(word.ask, body))
            case _:
                greeting_then(silence)(controller, identity, word, frames)

    return answer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")


def told(controller: Scripted, *line: str) -> int:
    StateFolder.of(controller.endpoint).create()
    return run([*line, "--controller", controller.endpoint])


def test_events_are_shown_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(script("")) as controller:
        assert told(controller, "events") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1].strip() for line in lines] == ["scale", "given-up", "left"]
    assert lines[1].endswith("text-0 is given up")


def test_events_as_json_are_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(script("")) as controller:
        assert told(controller, "events", "--json", "--since", "1s") == 0
        assert orjson.loads(capsys.readouterr().out) == {"events": []}
        assert told(controller, "events", "--json") == 0
    first = orjson.loads(capsys.readouterr().out)["events"][0]
    assert first == {
        "number": 1,
        "time": 1e9 + 1,
        "kind": "scale",
        "sentence": "launch text-0 (local)",
        "fields": {"worker": "text-0"},
    }


def test_scale_says_what_will_be_done_and_does_not_wait(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with scripted(script("")) as controller:
        assert told(controller, "scale", "text=1") == 0
        controller.wait_for(say.Scale)
        (word,) = [one for one in controller.heard if isinstance(one, say.Scale)]
        assert controller.count(say.AskStatus) == 0
    assert capsys.readouterr() == ("launch text-0 (local)\n", "")
    assert word.workers == {"text": 1}
    assert word.token


def test_scale_waits_until_the_numbers_are_reached(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(script("", "loading", "ready", known=0)) as controller:
        assert told(controller, "scale", "text=1", "encode=0", "--wait", "--json") == 0
        assert controller.count(say.AskStatus) == 3
    shown = orjson.loads(capsys.readouterr().out)
    assert shown == {
        "workers": {"text": 1, "encode": 0},
        "steps": ["launch text-0 (local)"],
        "after": 0,
    }


def test_scale_stops_waiting_when_a_launch_is_given_up(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(script("")) as controller:
        assert told(controller, "scale", "text=1", "--wait") == 1
    assert capsys.readouterr().err == "msctl: text-0 is given up\n"


def test_scale_waits_no_longer_than_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(script("", known=0)) as controller:
        assert told(controller, "scale", "text=1", "--wait", "--timeout", "100ms") == 1
    assert capsys.readouterr().err == "msctl: expected text=1 within 0.1 s\n"
