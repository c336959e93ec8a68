"""Geometry against transformers: its processors' token counts and its model's packed rows."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoImageProcessor, LlavaOnevisionConfig
from transformers.models.llava_onevision.modeling_llava_onevision import LlavaOnevisionModel
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor
from transformers.models.mllama.image_processing_pil_mllama import (
    get_optimal_tiled_canvas as canvas,
)

from modserve.scheduler.geometry.choosing import geometry_for
from modserve.scheduler.geometry.fields import BadConfig
from modserve.scheduler.geometry.shape import Geometry

from ..checkpoints import grid, make_llama, make_llava_onevision, make_mllama, make_qwen2

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "as small as the tests": {},
    "the published 7B": {"image_size": 384, "image_grid_pinpoints": grid(384, 6)},
    "coarse tiles": {"image_size": 28, "patch_size": 7, "image_grid_pinpoints": grid(28, 6)},
    "shrunk early": {"image_size": 56, "vision_aspect_ratio": "anyres_max_4"},
    "lines only": {"image_size": 42, "image_grid_pinpoints": [[42, 42 * n] for n in range(1, 8)]},
    "patches that do not divide": {"image_size": 30, "image_grid_pinpoints": grid(30, 4)},
    "a class token cut away": {
        "vision_model_type": "clip_vision_model",
        "vision_projection_dim": 16,
        "vision_feature_select_strategy": "default",
    },
}


def random_sizes(count: int, seed: int = 0) -> list[tuple[int, int]]:
    """Widths and heights from 1 pixel up, spread evenly over orders of magnitude."""
    dice = random.Random(seed)
    return [
        (int(10 ** dice.uniform(0, 3.7)), int(10 ** dice.uniform(0, 3.7))) for _ in range(count)
    ]


def parsed(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    config, processor = folder / "config.json", folder / "preprocessor_config.json"
    return json.loads(config.read_text()), json.loads(processor.read_text())


def geometry_of(folder: Path) -> Geometry:
    geometry = geometry_for(*parsed(folder))
    assert geometry is not None
    return geometry


@pytest.fixture(params=CONFIGURATIONS.values(), ids=list(CONFIGURATIONS), scope="module")
def llava(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_llava_onevision(tmp_path_factory.mktemp("llava"), **request.param)


class Reference(LlavaOnevisionProcessor):
    """transformers' processor without its video half, which cannot be made without torchvision."""

    def __init__(self, folder: Path) -> None:
        settings = json.loads((folder / "processor_config.json").read_text())
        self.image_processor = AutoImageProcessor.from_pretrained(folder)
        self.tile = self.image_processor.size["height"]
        self.vision_aspect_ratio = settings["vision_aspect_ratio"]
        self.drops_class_token = settings["vision_feature_select_strategy"] == "default"
        self.num_image_tokens = settings["num_image_tokens"] + self.drops_class_token

    def tokens(self, width: int, height: int) -> int:
        count: int = self._get_number_of_features(height, width, self.tile, self.tile)
        return count - self.drops_class_token


@pytest.mark.slow
def test_single_images_take_the_tokens_that_the_processor_counts(llava: Path) -> None:
    geometry, reference = geometry_of(llava), Reference(llava)
    for width, height in random_sizes(10_000):
        shape = geometry.image(width, height, 1)
        assert shape.span == reference.tokens(width, height), (width, height)


@pytest.mark.slow
def test_single_images_pack_into_that_many_rows_of_the_model(llava: Path) -> None:
    geometry = geometry_of(llava)
    packing = Packing(LlavaOnevisionConfig.from_pretrained(llava))
    for width, height in random_sizes(150, seed=1):
        shape = geometry.image(width, height, 1)
        assert packing.rows(shape.tiles, width, height) == shape.rows, (width, height)


def test_one_of_several_images_is_one_tile(llava: Path) -> None:
    geometry, packing = geometry_of(llava), Packing(LlavaOnevisionConfig.from_pretrained(llava))
    shape = geometry.image(333, 77, 2)
    assert (shape.tiles, shape.mode, shape.span) == (1, "several", shape.rows)
    assert packing.rows(1, 333, 77) == shape.rows


class Packing:
    """The model's own `pack_image_features`, which needs no weights."""

    def __init__(self, config: Any) -> None:
        self.config = config
        vision = config.vision_config
        self.patches = (vision.image_size // vision.patch_size) ** 2

    def rows(self, tiles: int, width: int, height: int) -> int:
        pack: Any = LlavaOnevisionModel.pack_image_features
        packed, _ = pack(
            self,
            [torch.zeros(tiles, self.patches, 1)],
            [[height, width]],
            image_newline=torch.zeros(1),
            vision_aspect_ratio=self.config.vision_aspect_ratio,
        )
        return len(packed[0])


def test_the_mode_changes_the_rows_of_the_same_picture(tmp_path: Path) -> None:
    geometry = geometry_of(make_llava_onevision(tmp_path))
    assert geometry.image(150, 90, 1).rows != geometry.image(150, 90, 2).rows


@pytest.mark.parametrize(("tiles", "patch"), [(4, 14), (2, 7), (1, 14), (6, 4)])
def test_mllama_images_are_always_every_tile(tmp_path: Path, tiles: int, patch: int) -> None:
    geometry = geometry_of(make_mllama(tmp_path, tiles=tiles, patch_size=patch))
    rows = tiles * ((28 // patch) ** 2 + 1)
    shapes = {geometry.image(w, h, images) for w, h in random_sizes(500) for images in (1, 3)}
    assert {(shape.tiles, shape.rows, shape.span) for shape in shapes} == {(tiles, rows, 1)}
    assert geometry.cross_attention


@pytest.mark.slow
@pytest.mark.parametrize(("tiles", "side"), [(4, 560), (4, 28), (6, 42), (2, 30)])
def test_mllama_pictures_fill_the_tiles_of_the_processors_canvas(
    tmp_path: Path, tiles: int, side: int
) -> None:
    geometry = geometry_of(make_mllama(tmp_path, tiles=tiles, image_size=side))
    for width, height in random_sizes(10_000):
        down, across = (int(edge) // side for edge in canvas(height, width, tiles, side))
        assert geometry.image(width, height, 1).used_tiles == down * across, (width, height)


@pytest.mark.parametrize("make", [make_llama, make_qwen2])
def test_text_only_models_have_no_geometry(tmp_path: Path, make: Callable[..., Path]) -> None:
    config = json.loads((make(tmp_path) / "config.json").read_text())
    assert geometry_for(config, None) is None


def test_what_transformers_leaves_out_of_a_saved_config_is_its_default() -> None:
    config = {
        "model_type": "llava_onevision",
        "vision_config": {"image_size": 384, "patch_size": 14},
    }
    geometry = geometry_for(config, {"size": {"height": 384, "width": 384}})
    assert geometry is not None
    assert geometry.image(640, 480, 2).rows == 27 * 27 + 1
    assert geometry.image(640, 480, 1).tiles == 1 + 2 * 2


VISION = {"image_size": 28, "patch_size": 14}
LLAVA = {
    "model_type": "llava_onevision",
    "vision_config": VISION,
    "image_grid_pinpoints": [[28, 28]],
}
PROCESSOR = {"size": {"height": 28, "width": 28}, "image_grid_pinpoints": [[28, 28]]}


@pytest.mark.parametrize(
    ("config", "processor", "sentence"),
    [
        ({"model_type": "qwen2_vl"}, None, "expected a model of a known family .*got 'qwen2_vl'"),
        ({}, None, "got None"),
        (LLAVA, None, "expected an image processor's configuration"),
        ({"model_type": "mllama"}, PROCESSOR, "expected an object vision_config"),
        (LLAVA | {"vision_config": VISION | {"patch_size": 0}}, PROCESSOR, "patch_size, got 0"),
        (LLAVA | {"vision_aspect_ratio": "square"}, PROCESSOR, "anyres_max_N .*got 'square'"),
        (LLAVA | {"image_grid_pinpoints": [[28, 30]]}, PROCESSOR, r"multiples .*got \[28, 30\]"),
        (LLAVA | {"image_grid_pinpoints": [[28, 56]]}, PROCESSOR, "same image_grid_pinpoints"),
        (LLAVA, PROCESSOR | {"size": {"height": 56, "width": 56}}, "same tile size .*28 and 56"),
        (LLAVA | {"vision_feature_select_strategy": "default"}, PROCESSOR, "rows per tile"),
        (LLAVA | {"vision_config": VISION | {"model_type": "pixtral"}}, PROCESSOR, "vision tower"),
        (
            {"model_type": "mllama", "vision_config": VISION},
            PROCESSOR | {"max_image_tiles": 2},
            "same number of tiles .*4 and 2",
        ),
    ],
)
def test_configurations_that_say_no_geometry_are_refused_in_one_sentence(
    config: dict[str, object], processor: dict[str, object] | None, sentence: str
) -> None:
    with pytest.raises(BadConfig, match=sentence) as refusal:
        geometry_for(config, processor)
    assert "\n" not in str(refusal.value)


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_no_size_breaks_the_arithmetic(width: int, height: int) -> None:
    geometry = geometry_for(
        LLAVA | {"image_grid_pinpoints": grid(28, 3)},
        PROCESSOR | {"image_grid_pinpoints": grid(28, 3)},
    )
    assert geometry is not None
    shape = geometry.image(width, height, 1)
    assert 4 <= shape.rows <= 4 + 9 * 4 + 6
    assert 2 <= shape.tiles <= 10
