"""Measuring picture files by their header alone, and refusing what is no picture."""

import random
import struct
import subprocess
import sys
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from modserve.transport.pictures import BadImage, Limits, content_key, measure

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def picture(width: int = 30, height: int = 20) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def encoded(name: str, image: Image.Image | None = None, **options: object) -> bytes:
    file = BytesIO()
    (image or picture()).save(file, name, **options)
    return file.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def png_of_size(width: int, height: int) -> bytes:
    """A PNG header that promises pixels which are not there."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_measured(name: str) -> None:
    measured = measure(encoded(name))
    assert (measured.width, measured.height, measured.format) == (30, 20, name)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_upright_picture(name: str, orientation: int) -> None:
    measured = measure(encoded(name, exif=exif(orientation)))
    expected = (20, 30) if orientation >= 5 else (30, 20)
    assert (measured.width, measured.height) == expected


def test_a_nonsense_orientation_is_ignored() -> None:
    assert measure(encoded("JPEG", exif=exif(77))).width == 30
    assert measure(encoded("JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00")).width == 30


def test_pixels_are_not_read() -> None:
    assert measure(png_of_size(3000, 2000)).width == 3000
    assert measure(encoded("JPEG", picture(600, 400))[:1000]).height == 400


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "got zero bytes"),
        (b"hello, world", r"expected a picture file \(PNG, .*got 12 bytes that begin with 68 65"),
        (b"\x00" * 5000, "got 5000 bytes that begin with 00 00"),
        (b"%PDF-1.7 ...", "begin with 25 50 44 46"),
        (encoded("PNG")[:20], "expected a whole PNG file, got 20 bytes"),
        (encoded("JPEG")[:30], "expected a whole JPEG file, got 30 bytes"),
        (encoded("PPM"), "got .* bytes that begin with 50 36"),
        (encoded("ICO", picture(16, 16)), r"expected a picture file \(PNG"),
        (png_of_size(0, 10), "expected a whole PNG file|at least one pixel"),
        (png_of_size(100_000, 100_000), "at most 64000000 pixels, got 100000 x 100000"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(BadImage, match=sentence) as refusal:
        measure(data)
    assert "\n" not in str(refusal.value)


def test_limits_are_exact() -> None:
    data = encoded("PNG")
    measure(data, Limits(bytes=len(data), pixels=600))
    with pytest.raises(BadImage, match=f"at most {len(data) - 1} bytes, got {len(data)}"):
        measure(data, Limits(bytes=len(data) - 1))
    with pytest.raises(BadImage, match="at most 599 pixels, got 30 x 20 = 600"):
        measure(data, Limits(pixels=599))


def test_mangled_files_are_measured_or_refused_and_nothing_else() -> None:
    dice = random.Random(0)
    originals = [encoded(name, exif=exif(6)) for name in ("PNG", "JPEG", "WEBP", "TIFF")]
    originals += [encoded("GIF"), encoded("BMP")]
    refused = 0
    for _ in range(2000):
        data = bytearray(dice.choice(originals))
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(min(len(data), 200))] = dice.randrange(256)
        try:
            measure(bytes(data[: dice.randrange(len(data)) if dice.random() < 0.3 else None]))
        except BadImage:
            refused += 1
    assert 200 < refused < 2000


def test_content_keys_tell_file_mode_and_processor_apart() -> None:
    keys = {
        content_key(data, mode, processor)
        for data in (b"", b"a", b"ab")
        for mode in ("single", "several", "singlea")
        for processor in ("p", "pa")
    }
    assert len(keys) == 18
    assert content_key(b"ab", "single", "p") == content_key(b"ab", "single", "p")
    assert all(len(key) == 64 and int(key, 16) >= 0 for key in keys)


def test_measuring_needs_neither_torch_nor_numpy() -> None:
    check = (
        "import sys; sys.modules['torch'] = sys.modules['numpy'] = None; "
        "import modserve.transport.pictures"
    )
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)
