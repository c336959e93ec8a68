"""What `--model` may name."""

from __future__ import annotations

from pathlib import Path

import pytest

from modserve.cli.controlling import TINY, NoModel, model_folder

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache as an earlier download left it, and no network."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    kept = tmp_path / "models--org--name"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text(REVISION)
    snapshot = kept / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    return snapshot


def test_tiny_is_the_default_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert model_folder("tiny") == TINY
    assert model_folder(None) == TINY
    assert "serving tiny" in capsys.readouterr().err


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    assert model_folder(str(tmp_path)) == tmp_path.resolve()


def test_a_hub_id_is_found_in_the_cache(hub_cache: Path) -> None:
    assert model_folder("org/name") == hub_cache


def test_a_hub_id_that_cannot_be_had_is_one_sentence(hub_cache: Path) -> None:
    with pytest.raises(NoModel, match="hub id or tiny, got org/other: ") as caught:
        model_folder("org/other")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing", "/no/such/folder", "a/b/c", "../x/"])
def test_what_is_neither_is_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoModel, match="expected a folder with a checkpoint, a hub id, or tiny"):
        model_folder(name)
