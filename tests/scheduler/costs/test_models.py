"""The six models against what their papers and cards say of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modserve.scheduler.costs.models import MODELS, model
from modserve.scheduler.costs.spec import Family

NAMES = sorted(MODELS)


@pytest.mark.parametrize(
    ("name", "billions"),
    [  # the cards on huggingface.co
        ("llama3.2-11b", 10.6),
        ("llama3.2-90b", 88.6),
        ("llava-ov-7b", 8.03),
        ("llava-ov-72b", 73.2),
        ("internvl-26b", 25.5),
        ("nvlm-d-72b", 79.4),
    ],
)
def test_the_parameters_add_up_to_the_published_number(name: str, billions: float) -> None:
    assert model(name).weights_bytes / 2e9 == pytest.approx(billions, rel=0.01)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("llava-ov-7b", 400), ("internvl-26b", 5540), ("llama3.2-11b", 630 + 8 * 19.7)],
)
def test_the_towers_have_the_published_size(name: str, millions: float) -> None:
    assert model(name).tower.parameters / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize(
    ("name", "tokens"),
    [  # ModServe, Table 1, without LLaVA-OneVision's newlines
        ("llama3.2-11b", 6404),
        ("llama3.2-90b", 6404),
        ("llava-ov-7b", 7290),
        ("llava-ov-72b", 7290),
        ("internvl-26b", 1280),
        ("nvlm-d-72b", 1280),
    ],
)
def test_a_square_of_896_pixels_has_the_papers_image_tokens(name: str, tokens: int) -> None:
    spec = model(name)
    shape = spec.image(896, 896)
    assert spec.encode_tokens(shape) == tokens
    assert shape.rows == pytest.approx(tokens, rel=0.02)
    assert spec.image_tokens(896, 896) == shape.rows


@pytest.mark.parametrize(
    ("name", "kibibytes"),
    [("llama3.2-11b", 128), ("llava-ov-7b", 56), ("internvl-26b", 192), ("nvlm-d-72b", 320)],
)
def test_kv_of_a_token(name: str, kibibytes: int) -> None:
    assert model(name).language.kv_bytes == kibibytes * 1024


def test_only_cross_attention_keeps_kv_of_image_rows_in_layers_of_their_own() -> None:
    kept = {name: model(name).image_kv_bytes for name in NAMES}
    assert {name for name in NAMES if kept[name]} == {"llama3.2-11b", "llama3.2-90b"}
    assert kept["llama3.2-11b"] == 8 * 2 * 8 * 128 * 2


def test_families() -> None:
    crossing = {name for name in NAMES if model(name).family is Family.CROSS}
    assert crossing == {"llama3.2-11b", "llama3.2-90b"}


def test_an_embedding_is_as_large_as_its_rows_in_the_language_models_width() -> None:
    assert model("internvl-26b").embedding_bytes(1280) == 1280 * 6144 * 2


def test_an_unknown_model_is_a_sentence_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"^expected a model of llama3\.2-11b, .*, got 'gpt'$"):
        model("gpt")


@given(some.sampled_from(NAMES), some.integers(1, 4000), some.integers(1, 4000))
def test_the_tower_computes_at_least_the_picture_of_an_embedding(
    name: str, width: int, height: int
) -> None:
    spec = model(name)
    shape = spec.image(width, height)
    newlines = shape.rows * 0.05 + 200  # LLaVA-OneVision's, one for each line
    shrunk = 1.25  # its grids of 9 tiles may keep a tenth more to each side
    assert shape.rows <= shrunk * spec.encode_tokens(shape) + newlines
