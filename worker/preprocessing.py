"""From a picture file's bytes to the tiles that a vision tower takes; runs in CPU threads.

Colours become RGB as transformers makes them (transparency onto white), then its own image
processor of the family cuts and normalizes: bit for bit the pixels that the reference sees.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFile

from ..transport.pictures import (
    DECODE_ERRORS,
    DEFAULT_LIMITS,
    BadImage,
    Limits,
    open_picture,
    orientation,
)
from .families.vision import Pixels, VisionHalf

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def preprocess(data: bytes, mode: str, half: VisionHalf, limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """BadImage where the bytes do not decode to a picture within the limits."""
    return half.preprocess(upright_rgb(data, limits), mode)


def upright_rgb(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """The first frame, turned as its EXIF says; its size is what `measure` promised."""
    file = open_picture(data, limits)
    turn = UPRIGHT.get(orientation(file))
    promised = file.size
    image = decoded(file)
    if image.size != promised:
        raise BadImage(f"expected {promised} pixels as the header says, got {image.size}")
    return to_rgb(image if turn is None else image.transpose(turn))


def decoded(file: ImageFile.ImageFile) -> Image.Image:
    try:
        file.load()
    except DECODE_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadImage(
            f"expected a whole {file.format} file, got one that does not decode ({reason})"
        ) from error
    return file


def to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        image = sixteen_to_eight_bits(image)
    if image.mode == "F":
        raise BadImage("expected whole-number pixels, got floating-point ones")
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def sixteen_to_eight_bits(image: Image.Image) -> Image.Image:
    """Pillow's own conversion clips at 255 and shows nearly everything white."""
    values = np.asarray(image)
    if values.dtype.itemsize > 2:
        values = values.clip(0, 0xFFFF).astype(np.uint16)
    return Image.fromarray((values // 257).astype(np.uint8))
