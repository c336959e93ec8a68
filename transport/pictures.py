"""What a picture file says about itself before anybody decodes it: size, format, identity.

Only the header is read here: the controller measures files with this, in threads, and never
holds a pixel. `preprocessing.py` of the worker decodes, under the same limits.
"""

from __future__ import annotations

import math
import struct
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO

from PIL import ExifTags, Image, ImageFile

# Pillow's own bomb check is one number for the process that warns first; ours is per call, exact
# and refuses. It is made right after the header, before any pixel.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns about odd metadata, which is the sender's business, and keeps every text for ever
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MAGIC = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"RIFF": "WEBP",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
}
# what Pillow's parsers let out when bytes lie to them
DECODE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    UserWarning,  # where warnings are errors
    ValueError,
    struct.error,
    zlib.error,
)
TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height


class BadImage(ValueError):
    """The file cannot be used as a picture; one sentence for whoever sent it."""


@dataclass(frozen=True, slots=True)
class Limits:
    bytes: int = 64 << 20
    pixels: int = 64_000_000
    formats: tuple[str, ...] = FORMATS


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Picture:
    width: int  # upright, as a viewer shows it
    height: int
    format: str


def measure(data: bytes | memoryview, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Read the header; BadImage says what was expected and what came."""
    image = open_picture(data, limits)
    width, height = image.size
    if orientation(image) in TURNED:
        width, height = height, width
    return Picture(width=width, height=height, format=format_of(image))


def check_square(picture: Picture, limits: Limits = DEFAULT_LIMITS) -> None:
    """One of several is padded to a square: a long thin one of few pixels would fill memory."""
    side = max(picture.width, picture.height)
    if side**2 > limits.pixels:
        raise BadImage(
            f"expected sides of at most {math.isqrt(limits.pixels)} pixels beside other images, "
            f"got {picture.width} x {picture.height}"
        )


def open_picture(data: bytes | memoryview, limits: Limits) -> ImageFile.ImageFile:
    """The file opened lazily, its format and its size within the limits."""
    if not data:
        raise BadImage("expected a picture file, got zero bytes")
    if len(data) > limits.bytes:
        raise BadImage(f"expected a picture of at most {limits.bytes} bytes, got {len(data)}")
    try:
        image = Image.open(BytesIO(data), formats=limits.formats)
    except DECODE_ERRORS as error:
        raise BadImage(unreadable(data, limits.formats)) from error
    width, height = image.size
    if width * height > limits.pixels:
        raise BadImage(
            f"expected a picture of at most {limits.pixels} pixels, "
            f"got {width} x {height} = {width * height}"
        )
    if width < 1 or height < 1:
        raise BadImage(f"expected a picture of at least one pixel, got {width} x {height}")
    return image


def orientation(image: ImageFile.ImageFile) -> int:
    """EXIF's number (1: upright) as far as the header tells, so that nothing is decoded.

    The base class is asked: PNG's own `getexif` decodes the pixels to look behind them.
    """
    if image.format == "TIFF":
        return 1  # Pillow turns these itself, size and pixels
    try:
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except DECODE_ERRORS:
        return 1  # a viewer shows a picture with broken EXIF as it lies
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def format_of(image: ImageFile.ImageFile) -> str:
    name = image.format or ""
    return name if name in FORMATS else "JPEG"  # MPO: a JPEG with more JPEGs behind it


def unreadable(data: bytes | memoryview, formats: Sequence[str] = FORMATS) -> str:
    begin = bytes(data[:8])
    kind = next((name for magic, name in MAGIC.items() if begin.startswith(magic)), None)
    if kind in formats:
        return f"expected a whole {kind} file, got {len(data)} bytes with a broken header"
    return (
        f"expected a picture file ({', '.join(formats)}), "
        f"got {len(data)} bytes that begin with {begin.hex(' ')}"
    )


def content_key(data: bytes | memoryview, mode: str, processor_fingerprint: str) -> str:
    """Equal keys, equal embeddings: the file, how it is cut, and by which processor and model."""
    digest = blake2b(digest_size=32)
    for part in (mode.encode(), processor_fingerprint.encode(), data):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
