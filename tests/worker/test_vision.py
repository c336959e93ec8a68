"""The vision halves give the rows that transformers' whole model computes inside `generate`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    LlavaOnevisionForConditionalGeneration,
    MllamaForConditionalGeneration,
)

from modserve.scheduler.geometry.choosing import geometry_for
from modserve.transport.checkpoint import read_json
from modserve.worker.families.vision import VisionHalf
from modserve.worker.loading import load

from ..checkpoints import grid, make_llava_onevision, make_mllama

SIZES = [(50, 60), (150, 60), (28, 200), (1, 90), (333, 331)]

LLAVA: dict[str, dict[str, Any]] = {
    "plain": {},
    "other patches": {"image_size": 30, "patch_size": 7, "image_grid_pinpoints": grid(30, 4)},
    "an inner layer": {"vision_feature_layer": -2, "vision_num_hidden_layers": 4},
    "two layers": {"vision_feature_layer": [1, -1], "vision_num_hidden_layers": 3},
    "shrunk early": {"vision_aspect_ratio": "anyres_max_1", "patch_size": 7},
    "with a pooling head": {"vision_vision_use_head": True},
    "a class token cut away": {
        "vision_model_type": "clip_vision_model",
        "vision_projection_dim": 16,
        "vision_feature_select_strategy": "default",
    },
}
MLLAMA: dict[str, dict[str, Any]] = {
    "plain": {},
    "two tiles": {"tiles": 2},
    "small patches": {"patch_size": 7, "tiles": 6},
    "rows that need no padding": {"image_size": 35, "patch_size": 5, "tiles": 3},
}


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def half_of(folder: Path) -> VisionHalf:
    vision = load(folder, frozenset({"encode"})).vision
    assert vision is not None
    return vision


def same(ours: torch.Tensor, reference: torch.Tensor) -> None:
    assert ours.shape == reference.shape
    torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("overrides", LLAVA.values(), ids=LLAVA.keys())
def test_llava_onevision_rows_equal_those_of_transformers(
    tmp_path: Path, overrides: dict[str, Any]
) -> None:
    folder = make_llava_onevision(tmp_path, **overrides)
    half, processor = half_of(folder), AutoImageProcessor.from_pretrained(folder)
    reference = LlavaOnevisionForConditionalGeneration.from_pretrained(folder).eval()
    pictures = [picture(*size, seed) for seed, size in enumerate(SIZES)]
    alone = [half.preprocess(image, "single") for image in pictures]
    together = [half.preprocess(image, "several") for image in pictures]
    # one batch of both modes and of all tile counts
    rows = half.encode([*alone, *together])
    with torch.no_grad():
        for image, pixels, ours in zip(pictures, alone, rows[: len(alone)], strict=True):
            inputs = processor([[image]], return_tensors="pt")
            assert torch.equal(pixels.tiles, inputs["pixel_values"][0])
            same(ours, reference.get_image_features(**inputs).pooler_output[0])
        inputs = processor([pictures], return_tensors="pt")
        features = reference.get_image_features(**inputs).pooler_output
    for place, (pixels, ours) in enumerate(zip(together, rows[len(alone) :], strict=True)):
        assert torch.equal(pixels.tiles, inputs["pixel_values"][place])
        same(ours, features[place])


@pytest.mark.slow
@pytest.mark.parametrize("overrides", MLLAMA.values(), ids=MLLAMA.keys())
def test_mllama_rows_equal_those_of_transformers(tmp_path: Path, overrides: dict[str, Any]) -> None:
    folder = make_mllama(tmp_path, **overrides)
    half, processor = half_of(folder), AutoImageProcessor.from_pretrained(folder)
    reference = MllamaForConditionalGeneration.from_pretrained(folder).eval().model
    pictures = [picture(*size, seed) for seed, size in enumerate(SIZES)]
    batch = [half.preprocess(image, "tiled") for image in pictures]
    rows = half.encode(batch)
    inputs = processor([pictures], return_tensors="pt")
    assert [len(pixels.tiles) for pixels in batch] == inputs.pop("num_tiles")[0]
    with torch.no_grad():
        states = reference.vision_model(**inputs).last_hidden_state
        features = reference.multi_modal_projector(states)[0].flatten(1, 2)
    for ours, theirs in zip(rows, features, strict=True):
        same(ours, theirs)
    for image, ours in zip(pictures, rows, strict=True):
        same(half.encode([half.preprocess(image, "tiled")])[0], ours)


def test_no_padding_tile_of_mllama_can_be_left_out(tmp_path: Path) -> None:
    """transformers masks padding from padding alone: the picture's own rows see it, in every layer,
    and so its rows are other ones where the padding is."""
    half: Any = half_of(make_mllama(tmp_path))
    pixels = half.preprocess(picture(20, 20), "tiled")
    tiles = half.config.vision_config.max_num_tiles
    assert len(pixels.tiles) == 1 < tiles
    rows = half.vision_model.num_patches
    with_zeros = half.encode([pixels])[0][:rows]
    noise = torch.randn(tiles, *pixels.tiles.shape[1:])
    noise[0] = pixels.tiles[0]
    with torch.no_grad():
        states = half.vision_model(
            pixel_values=noise[None, None],
            aspect_ratio_ids=torch.tensor([[pixels.aspect_ratio]]),
            aspect_ratio_mask=torch.tensor([[[1] + [0] * (tiles - 1)]]),
        ).last_hidden_state
        with_noise = half.multi_modal_projector(states)[0, 0, 0]
    assert (with_zeros - with_noise).abs().max() > 1e-3


@pytest.mark.parametrize("make", [make_llava_onevision, make_mllama])
def test_rows_and_tiles_are_what_geometry_promised(tmp_path: Path, make: Any) -> None:
    folder = make(tmp_path)
    half = half_of(folder)
    geometry = geometry_for(
        read_json(folder / "config.json"), read_json(folder / "preprocessor_config.json")
    )
    assert geometry is not None
    for width, height in SIZES:
        for images in (1, 2):
            shape = geometry.image(width, height, images)
            pixels = half.preprocess(picture(width, height), shape.mode)
            assert len(pixels.tiles) == shape.used_tiles
            assert len(half.encode([pixels])[0]) == shape.rows


@pytest.mark.parametrize("make", [make_llava_onevision, make_mllama])
def test_a_picture_changes_its_rows(tmp_path: Path, make: Any) -> None:
    half = half_of(make(tmp_path))
    batch = [half.preprocess(picture(60, 60, seed), "several") for seed in (0, 1)]
    first, second = half.encode(batch)
    assert (first - second).abs().max() > 0.1
