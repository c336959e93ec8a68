"""Whether a file is one whole, still picture within the limits. Runs in a thread.

The header is checked before anything is decoded. Then the picture is decoded once, and thrown
away: what is broken is refused here, with HTTP's status, rather than by an encode worker after
the request has been accepted.
"""

from __future__ import annotations

from PIL.ImageFile import ImageFile

from ...transport import pictures
from .errors import TOO_LARGE, TOO_MANY_PIXELS, BadMedia, no_picture
from .limits import Limits

MOST_SCANS = 500  # of a progressive JPEG, as libjpeg-turbo advises: each is work for all pixels
_PNG_SIGNATURE = 8  # bytes
_PNG_AROUND = 12  # bytes of a chunk around its body: length, name, checksum


def check_picture(data: bytes, limits: Limits) -> int:
    """Its pixels; raises BadMedia."""
    if len(data) > limits.bytes:
        raise BadMedia(413, TOO_LARGE.format(bytes=limits.bytes))
    try:
        image = pictures.open_picture(data, _header_limits(limits))
        _check_size(image.size, limits)
        pixels = image.width * image.height
        _decode(image, data)
    except BadMedia:
        raise
    except (pictures.BadImage, *pictures.DECODE_ERRORS) as error:
        raise no_picture(limits) from error
    if not _ends_there(data, pictures.format_of(image)):
        raise no_picture(limits)
    return pixels


def _header_limits(limits: Limits) -> pictures.Limits:
    """`_check_size` has the limit of pixels, with a status of its own."""
    return pictures.Limits(limits.bytes, pixels=2**62, formats=limits.formats)


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    shorter, longer = sorted(size)
    if (
        shorter * longer > limits.pixels
        or longer > limits.side
        or longer > limits.ratio * max(shorter, 1)
    ):
        told = TOO_MANY_PIXELS.format(pixels=limits.pixels, side=limits.side, ratio=limits.ratio)
        raise BadMedia(413, told)


def _decode(image: ImageFile, data: bytes) -> None:
    """All of the file, an eighth of a JPEG's pixels a side: the transforms are most of its cost."""
    if pictures.format_of(image) == "JPEG":
        if data.count(b"\xff\xda") > MOST_SCANS:
            raise pictures.BadImage(f"expected at most {MOST_SCANS} scans of a JPEG, got more")
        image.draft(None, (max(image.width // 8, 1), max(image.height // 8, 1)))
    elif getattr(image, "is_animated", False):
        raise pictures.BadImage("expected a still picture, got an animation")
    image.load()


def _ends_there(data: bytes, kind: str) -> bool:
    """Whether nothing follows the picture, which might be an archive or a program.

    A JPEG may go on: cameras put further pictures, depth and films behind it.
    """
    match kind:
        case "PNG":
            return _png_end(data) == len(data)
        case "WEBP":
            return len(data) == int.from_bytes(data[4:8], "little") + 8
        case "GIF":
            return data.rstrip(b"\0").endswith(b";")
    return True


def _png_end(data: bytes) -> int:
    """Behind the chunk IEND; 0 where there is none."""
    at, kind = _PNG_SIGNATURE, b""
    while at < len(data) and kind != b"IEND":
        kind = data[at + 4 : at + 8]
        at += int.from_bytes(data[at : at + 4], "big") + _PNG_AROUND
    return at if kind == b"IEND" else 0
