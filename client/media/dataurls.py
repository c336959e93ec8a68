"""`data:` URLs: the picture stands in the URL itself, in base64."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from .errors import NOT_BASE64, TOO_LARGE, BadMedia
from .limits import Limits

PIECE = 2**18  # characters in one go: decoding holds the interpreter's lock
_HEAD = re.compile(
    r"data:(?:image/[a-z0-9.+-]+|application/octet-stream)(?:;[a-z0-9-]+=[a-z0-9.-]+)*;base64",
    re.IGNORECASE | re.ASCII,
)
MOST_HEAD = 200  # characters


def is_data_url(url: str) -> bool:
    return url[:5].lower() == "data:"


def decode_data_url(url: str, limits: Limits) -> bytes:
    """The bytes of a `data:image/...;base64,` URL; BadMedia for any other.

    Base64 is read strictly: the ordinary alphabet, padded, without spaces. Two readers that
    disagree about the bytes would be a way past whichever of them checks.
    """
    comma = url.find(",", 0, MOST_HEAD)
    if comma < 0 or not _HEAD.fullmatch(url, 0, comma):
        raise BadMedia(400, NOT_BASE64)
    if (len(url) - comma - 1) * 3 // 4 > limits.bytes + 2:
        raise BadMedia(413, TOO_LARGE.format(bytes=limits.bytes))
    try:
        return b"".join(_pieces(url, comma + 1))
    except ValueError as error:
        raise BadMedia(400, NOT_BASE64) from error


def _pieces(url: str, begin: int) -> Iterator[bytes]:
    """ValueError where a piece is no base64, or a padding is not at the end."""
    padding = url.find("=", begin)
    if 0 <= padding < len(url) - 2:
        raise ValueError(f"padding at character {padding} of {len(url)}")
    for at in range(begin, len(url), PIECE):
        yield binascii.a2b_base64(url[at : at + PIECE], strict_mode=True)
