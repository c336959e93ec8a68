"""The names that people ask for a model by."""

from __future__ import annotations

from pathlib import Path

import pytest

from modserve.controller.titles import title_of


@pytest.mark.parametrize(
    ("folder", "title"),
    [
        ("/srv/modserve/tiny/checkpoint", "tiny"),
        ("/models/llava-onevision-qwen2-7b-ov-hf", "llava-onevision-qwen2-7b-ov-hf"),
        ("/home/a/.cache/hub/models--llava-hf--ov-0.5b/snapshots/2c9b", "llava-hf/ov-0.5b"),
        ("/home/a/snapshots/seven", "seven"),
    ],
)
def test_a_model_is_called_as_its_folder_or_as_on_the_hub(folder: str, title: str) -> None:
    assert title_of(Path(folder)) == title
