"""A component's fingerprint: what takes time is told apart, what does not is shared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modserve.cli.controlling import TINY
from modserve.scheduler.costs.profile import Component
from modserve.transport.checkpoint import BadCheckpoint
from modserve.transport.components import components

PREPROCESS, ENCODE, TEXT = Component


def changed(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> Path:
    """tiny's description without its weights, one file of it changed."""
    for file in TINY.glob("*.json"):
        shutil.copy(file, folder)
    body = json.loads((folder / name).read_text())
    change(body)
    (folder / name).write_text(json.dumps(body))
    return folder


@pytest.mark.parametrize(
    ("name", "change", "differ"),
    [
        ("config.json", lambda c: c.update(transformers_version="9"), set()),
        ("config.json", lambda c: c["text_config"].update(eos_token_id=7), set()),
        ("config.json", lambda c: c["text_config"].update(num_hidden_layers=5), {TEXT}),
        ("config.json", lambda c: c["text_config"].update(hidden_size=256), {TEXT, ENCODE}),
        ("config.json", lambda c: c["vision_config"].update(num_hidden_layers=5), {ENCODE}),
        ("preprocessor_config.json", lambda c: c.update(resample=2), {PREPROCESS}),
    ],
)
def test_a_change_is_seen_where_it_takes_time(
    tmp_path: Path, name: str, change: Callable[[dict[str, Any]], object], differ: set[Component]
) -> None:
    before, after = components(TINY), components(changed(tmp_path, name, change))
    assert before.keys() == set(Component)
    assert {one for one in before if before[one] != after[one]} == differ


def test_a_language_model_alone_shares_its_profile(tmp_path: Path) -> None:
    def alone(config: dict[str, Any]) -> None:
        text = config["text_config"]
        config.clear()
        config.update(text)

    found = components(changed(tmp_path, "config.json", alone))
    assert found == {TEXT: components(TINY)[TEXT]}


def test_what_is_no_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"expected a file at .*config.json, got none"):
        components(tmp_path)
