"""Odd picture files through the served system: upright, in RGB, the first frame."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from .asking import png_of, run
from .cluster import SPLIT
from .conftest import Clusters
from .references import Reference, picture

pytestmark = pytest.mark.slow

PLAIN = picture(60, 40, 5)
GREY = PLAIN.convert("L")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(PLAIN, "PNG", exif=exif)


def with_alpha() -> tuple[bytes, Image.Image]:
    alpha = Image.fromarray(np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1)))
    image = Image.merge("LA", (GREY, alpha))
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return saved(image, "PNG"), Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def sixteen_bits() -> tuple[bytes, Image.Image]:
    values = np.asarray(GREY).astype(np.uint16) * 257
    return saved(Image.fromarray(values), "PNG"), GREY.convert("RGB")


def files() -> dict[str, tuple[bytes, Image.Image]]:
    """A file, and what is to be seen in it."""
    indexed, cmyk = PLAIN.quantize(64), PLAIN.convert("CMYK")
    more = [picture(60, 40, seed) for seed in (6, 7)]
    return {
        "animated GIF": (
            saved(indexed, "GIF", save_all=True, append_images=more),
            indexed.convert("RGB"),
        ),
        "animated WebP": (
            saved(PLAIN, "WEBP", save_all=True, append_images=more, lossless=True),
            PLAIN,
        ),
        "animated PNG": (saved(PLAIN, "PNG", save_all=True, append_images=more), PLAIN),
        "palette": (saved(indexed, "PNG"), indexed.convert("RGB")),
        "CMYK": (saved(cmyk, "TIFF"), cmyk.convert("RGB")),
        "16 bits": sixteen_bits(),
        "grey and alpha": with_alpha(),
        "upside down": (turned(3), PLAIN.transpose(Image.Transpose.ROTATE_180)),
        "on its side": (turned(6), PLAIN.transpose(Image.Transpose.ROTATE_270)),
        "one pixel": (saved(PLAIN.crop((0, 0, 1, 1)), "BMP"), PLAIN.crop((0, 0, 1, 1))),
        "a line": (saved(PLAIN.crop((0, 0, 60, 1)), "BMP"), PLAIN.crop((0, 0, 60, 1))),
    }


@pytest.mark.parametrize("checkpoint", ["llava", "mllama"])
def test_an_odd_file_is_answered_as_what_it_shows(
    clusters: Clusters, reference_of: Callable[[str], Reference], checkpoint: str
) -> None:
    cluster = clusters.get(reference_of(checkpoint).folder, SPLIT)

    async def body() -> None:
        async with cluster.client() as client:

            async def tokens(*images: bytes) -> tuple[int, ...]:
                asked = await client.generate("?", images, max_tokens=12, ignore_eos=True)
                return asked.token_ids

            seen = set()
            for name, (file, shown) in files().items():
                got = await tokens(file)
                assert got == await tokens(png_of(shown)), name
                several = await tokens(file, png_of(PLAIN))
                assert several == await tokens(png_of(shown), png_of(PLAIN)), name
                seen.add(got)
            assert len(seen) > 2, "the model is to look at its images"

    run(body())
