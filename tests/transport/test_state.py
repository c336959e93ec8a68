"""The state folder: private, stable across restarts, found by any spelling of its endpoint."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from modserve.transport.state import Description, StateFolder, StateUnusable

ENDPOINT = "tcp://127.0.0.1:7700"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_the_folder_is_named_after_the_endpoint(home: Path) -> None:
    assert StateFolder.of(ENDPOINT).path == home / "modserve" / "127.0.0.1-7700"


def test_without_xdg_it_lies_in_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for told in ("", "relative/path"):
        monkeypatch.setenv("XDG_STATE_HOME", told)
        expected = tmp_path / ".local" / "state" / "modserve" / "127.0.0.1-7700"
        assert StateFolder.of(ENDPOINT).path == expected


def test_there_is_no_token_before_a_controller_made_one() -> None:
    assert StateFolder.of(ENDPOINT).token() is None


def test_a_token_is_private_and_stays_over_a_restart() -> None:
    folder = StateFolder.of(ENDPOINT)
    token = folder.create()
    assert len(token) == 32
    assert folder.create() == token == StateFolder.of("tcp://localhost:7700").token()
    assert stat.S_IMODE((folder.path / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_token_that_others_could_read_is_closed_to_them() -> None:
    folder = StateFolder.of(ENDPOINT)
    folder.create()
    (folder.path / "token").chmod(0o644)
    folder.create()
    assert stat.S_IMODE((folder.path / "token").stat().st_mode) == 0o600


def test_an_empty_token_left_by_a_crash_is_replaced() -> None:
    folder = StateFolder.of(ENDPOINT)
    folder.create()
    (folder.path / "token").write_text("")
    assert folder.token() is None
    assert folder.create() == folder.token()


def test_a_controller_that_listens_everywhere_is_found_by_its_port() -> None:
    token = StateFolder.of("tcp://*:7700").create()
    assert StateFolder.of("tcp://0.0.0.0:7700").token() == token
    assert StateFolder.of(ENDPOINT).token() == token
    assert StateFolder.of("tcp://127.0.0.1:7701").token() is None


def test_a_socket_path_makes_a_plain_name(home: Path) -> None:
    folder = StateFolder.of("ipc:///tmp/a b/../c")
    assert folder.path.parent == home / "modserve"


def test_the_description_is_read_back_and_a_garbled_one_is_none() -> None:
    folder = StateFolder.of(ENDPOINT)
    folder.create()
    assert folder.description() is None
    told = Description(ENDPOINT, 123, "/models/seven")
    folder.describe(told)
    assert folder.description() == told
    (folder.path / "controller.json").write_text("{")
    assert folder.description() is None


def test_logs_lie_in_a_folder_of_their_own() -> None:
    folder = StateFolder.of(ENDPOINT)
    folder.create()
    log = folder.log("encode-0")
    assert (log.name, log.parent.is_dir()) == ("encode-0.log", True)


def test_a_folder_that_cannot_be_made_is_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "file"))
    with pytest.raises(StateUnusable, match=r"cannot write .*file.*: Not a directory"):
        StateFolder.of(ENDPOINT).create()
