"""Sizes out of config.json, by the published files of two models of the table."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from modserve.scheduler.costs.configs import spec_of
from modserve.scheduler.costs.models import model
from modserve.scheduler.geometry.fields import BadConfig

LLAVA: dict[str, Any] = {
    "model_type": "llava_onevision",
    "image_grid_pinpoints": [
        [384 * down, 384 * over] for down in range(1, 7) for over in range(1, 7)
    ],
    "tie_word_embeddings": False,
    "vision_aspect_ratio": "anyres_max_9",
    "vision_feature_select_strategy": "full",
    "text_config": {
        "model_type": "qwen2",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_attention_heads": 28,
        "num_hidden_layers": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152128,
    },
    "vision_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 1152,
        "image_size": 384,
        "intermediate_size": 4304,
        "num_attention_heads": 16,
        "num_hidden_layers": 26,
        "patch_size": 14,
    },
}
MLLAMA: dict[str, Any] = {
    "model_type": "mllama",
    "text_config": {
        "model_type": "mllama_text_model",
        "cross_attention_layers": [3, 8, 13, 18, 23, 28, 33, 38],
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_attention_heads": 32,
        "num_hidden_layers": 40,
        "num_key_value_heads": 8,
        "tie_word_embeddings": False,
        "vocab_size": 128256,
    },
    "vision_config": {
        "model_type": "mllama_vision_model",
        "attention_heads": 16,
        "hidden_size": 1280,
        "image_size": 560,
        "intermediate_size": 5120,
        "max_num_tiles": 4,
        "num_global_layers": 8,
        "num_hidden_layers": 32,
        "patch_size": 14,
        "vision_output_dim": 7680,
    },
}


@pytest.mark.parametrize(("config", "name"), [(LLAVA, "llava-ov-7b"), (MLLAMA, "llama3.2-11b")])
def test_the_published_file_says_what_the_table_says(config: dict[str, Any], name: str) -> None:
    assert spec_of(config, name) == model(name)


def test_a_model_without_a_name_has_its_familys() -> None:
    assert spec_of(MLLAMA).name == "mllama"


def test_values_that_a_file_leaves_out_are_those_of_transformers() -> None:
    bare = {"model_type": "mllama", "text_config": {}, "vision_config": {"image_size": 560}}
    assert spec_of(bare, "llama3.2-11b") == model("llama3.2-11b")


def test_a_tied_table_is_counted_once() -> None:
    tied = changed(LLAVA, "text_config", tie_word_embeddings=True)
    spared = spec_of(LLAVA).text_bytes - spec_of(tied).text_bytes
    assert spared == 152128 * 3584 * 2


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, "expected a model of llava_onevision or mllama, got None"),
        ({"model_type": "gpt2"}, "expected a model of llava_onevision or mllama, got 'gpt2'"),
        (
            {"model_type": "mllama", "vision_config": {}},
            "expected an object text_config in config.json, got None",
        ),
        (
            {"model_type": "mllama", "text_config": {}},
            "expected an object vision_config in config.json, got None",
        ),
    ],
)
def test_a_file_without_the_parts_is_a_sentence(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadConfig) as caught:
        spec_of(config)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("part", "wrong", "sentence"),
    [
        ("text_config", {"num_hidden_layers": -1}, "whole number for num_hidden_layers, got -1"),
        ("text_config", {"num_attention_heads": 0}, "whole number for num_attention_heads, got 0"),
        ("text_config", {"num_attention_heads": 30}, "multiples of 30 heads, got 4096"),
        ("text_config", {"hidden_size": "big"}, "whole number for hidden_size, got 'big'"),
        ("text_config", {"head_dim": 0}, "whole number for head_dim, got 0"),
        ("text_config", {"model_type": "bert"}, "got 'bert'"),
        ("text_config", {"cross_attention_layers": [99]}, "layers below 40"),
        ("text_config", {"cross_attention_layers": 8}, "layers below 40"),
        ("vision_config", {"hidden_size": None}, "whole number for hidden_size, got None"),
    ],
)
def test_a_wrong_value_is_a_sentence(part: str, wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadConfig, match=r"^expected ") as caught:
        spec_of(changed(MLLAMA, part, **wrong))
    assert sentence in str(caught.value)


def test_a_tower_of_an_unknown_kind_is_a_sentence() -> None:
    with pytest.raises(BadConfig, match=r"^expected a vision tower of "):
        spec_of(changed(LLAVA, "vision_config", model_type="dino"))


def changed(config: dict[str, Any], part: str, **values: object) -> dict[str, Any]:
    copy = deepcopy(config)
    copy[part] |= values
    return copy
