"""Profile files on this host."""

from __future__ import annotations

from pathlib import Path

import pytest

from modserve.scheduler.costs.profile import BadProfile
from modserve.transport.profiles import NotSaved, load_profiles, save_profiles

from ..scheduler.costs.examples import DERIVED, ENCODE, PREPROCESS, TEXT

ALL = [PREPROCESS, ENCODE, TEXT, DERIVED]


def test_one_file_holds_all_of_them(tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    assert save_profiles(ALL, file) == [file]
    assert load_profiles(file) == ALL


def test_a_folder_has_a_file_for_each_component_and_device(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    files = save_profiles(ALL, folder)
    assert len(set(files)) == len(ALL)
    assert files[1].name == "encode-bb-cpu-float32-tp1-2threads.json"
    assert sorted(load_profiles(folder), key=ALL.index) == ALL
    save_profiles([TEXT], folder)  # measured again
    assert len(load_profiles(folder)) == len(ALL)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text("{}")
    with pytest.raises(BadProfile, match=r"expected an object .*, got \{\} in .*one\.json$"):
        load_profiles(tmp_path)


def test_no_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadProfile, match=r"expected a profile in .*, got an empty folder"):
        load_profiles(tmp_path)
    with pytest.raises(BadProfile, match=r"expected a profile at .*x\.json, got No such file"):
        load_profiles(tmp_path / "x.json")


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotSaved, match=r"cannot write .*file"):
        save_profiles(ALL, tmp_path / "file" / "folder")
    with pytest.raises(NotSaved, match=r"cannot write .*none/all\.json: No such file"):
        save_profiles(ALL, tmp_path / "none" / "all.json")
