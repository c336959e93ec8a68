"""File bytes to upright RGB, and to exactly the pixels that transformers' processors make."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from transformers import AutoImageProcessor
from transformers.image_transforms import convert_to_rgb

from modserve.transport.pictures import BadImage, Limits, measure
from modserve.worker.families.vision import VisionHalf
from modserve.worker.loading import load
from modserve.worker.preprocessing import preprocess, upright_rgb

from ..checkpoints import make_llava_onevision, make_mllama


def picture(width: int = 30, height: int = 20, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def encoded(image: Image.Image, name: str = "PNG", **options: object) -> bytes:
    file = BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def array(image: Image.Image) -> np.ndarray[Any, Any]:
    return np.asarray(image)


def translucent(mode: str) -> Image.Image:
    image = picture().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image.convert(mode)


def transparent_palette() -> bytes:
    return encoded(picture().convert("P"), transparency=bytes(range(0, 256, 2)))


COLOURS = {
    "palette": encoded(picture().convert("P")),
    "palette with one clear colour": encoded(picture().convert("P"), transparency=3),
    "palette with alpha": transparent_palette(),
    "grey": encoded(picture().convert("L")),
    "grey and alpha": encoded(translucent("LA")),
    "alpha": encoded(translucent("RGBA")),
    "one bit": encoded(picture().convert("1")),
    "CMYK": encoded(picture().convert("CMYK"), "JPEG"),
    "CMYK TIFF": encoded(picture().convert("CMYK"), "TIFF"),
    "WEBP with alpha": encoded(translucent("RGBA"), "WEBP", lossless=True),
    "GIF": encoded(picture().convert("P"), "GIF"),
    "BMP": encoded(picture(), "BMP"),
}


@pytest.mark.parametrize("data", COLOURS.values(), ids=COLOURS.keys())
def test_colours_become_rgb_as_in_transformers(data: bytes) -> None:
    image = upright_rgb(data)
    assert image.mode == "RGB"
    expected = convert_to_rgb(Image.open(BytesIO(data)), return_numpy=True)
    np.testing.assert_array_equal(array(image), expected)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright_and_measure_knew_it(name: str, orientation: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    data = encoded(picture(), name, exif=tags)
    image, measured = upright_rgb(data), measure(data)
    assert image.size == (measured.width, measured.height)
    expected = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    np.testing.assert_array_equal(array(image), array(expected.convert("RGB")))


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    levels = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    image = upright_rgb(encoded(Image.fromarray(levels)))
    np.testing.assert_array_equal(array(image)[..., 0].ravel(), np.arange(256))


@pytest.mark.parametrize("name", ["GIF", "WEBP", "TIFF", "PNG"])
def test_an_animation_is_its_first_frame(name: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if name == "WEBP" else {}
    data = encoded(frames[0], name, save_all=True, append_images=frames[1:], **options)
    assert upright_rgb(data).getpixel((3, 3)) == (255, 0, 0)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_files_that_break_off_are_refused_in_one_sentence(name: str) -> None:
    data = encoded(picture(200, 200), name)
    for share in (0.0, 0.01, 0.3, 0.9):
        with pytest.raises(BadImage, match=r"^expected .* got .*") as refusal:
            upright_rgb(data[: int(len(data) * share)])
        assert "\n" not in str(refusal.value)


def test_too_many_pixels_and_floating_point_are_refused() -> None:
    with pytest.raises(BadImage, match="at most 100 pixels, got 30 x 20"):
        upright_rgb(encoded(picture()), Limits(pixels=100))
    floats = Image.fromarray(np.zeros((4, 4), dtype=np.float32))
    with pytest.raises(BadImage, match="floating-point"):
        upright_rgb(encoded(floats, "TIFF"))


@pytest.fixture(scope="module", params=[make_llava_onevision, make_mllama])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = request.param(tmp_path_factory.mktemp("model"))
    return made


def half_of(folder: Path) -> VisionHalf:
    half = load(folder, frozenset({"encode"})).vision
    assert half is not None
    return half


def test_tiles_equal_the_processors_bit_for_bit(folder: Path) -> None:
    half, processor = half_of(folder), AutoImageProcessor.from_pretrained(folder)
    dice = np.random.default_rng(0)
    for seed in range(30):
        width, height = (int(side) for side in dice.integers(1, 250, 2))
        image = picture(width, height, seed)
        pixels = preprocess(encoded(image), "single", half)
        inputs = processor(images=[[image]], return_tensors="pt")
        reference = inputs["pixel_values"].flatten(end_dim=-4)
        used = len(pixels.tiles)
        assert torch.equal(pixels.tiles, reference[:used])
        assert not reference[used:].any()
        assert (pixels.height, pixels.width) == (height, width)
        assert pixels.tiles.dtype is torch.float32


def test_one_of_several_equals_the_processors_tile(tmp_path: Path) -> None:
    folder = make_llava_onevision(tmp_path)
    half, processor = half_of(folder), AutoImageProcessor.from_pretrained(folder)
    images = [picture(*size) for size in [(40, 90), (90, 40), (28, 28), (1, 7), (300, 299)]]
    reference = processor(images=[images], return_tensors="pt")["pixel_values"]
    for image, expected in zip(images, reference, strict=True):
        tiles = preprocess(encoded(image), "several", half).tiles
        assert torch.equal(tiles, expected)


def test_threads_make_the_same_tiles(folder: Path) -> None:
    half = half_of(folder)
    files = [encoded(picture(40 + 9 * seed, 150 - 9 * seed, seed)) for seed in range(12)]
    alone = [preprocess(data, "single", half).tiles for data in files]
    with ThreadPoolExecutor(4) as threads:
        together = threads.map(lambda data: preprocess(data, "single", half).tiles, files * 4)
    for place, tiles in enumerate(together):
        assert torch.equal(tiles, alone[place % len(files)])
