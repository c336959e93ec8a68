"""What the pictures of strangers may cost: one file, one request, the process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Over any of these a picture is refused; times in seconds."""

    # one picture
    bytes: int = 20 * 2**20  # of the file
    pixels: int = 64_000_000
    side: int = 16_384  # pixels
    ratio: int = 200  # of the longer side to the shorter
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF")  # Pillow's names; what OpenAI takes
    item_s: float = 15.0  # from asking to the last byte, waiting for a place included
    decode_s: float = 10.0  # of a thread
    # fetching one
    url_chars: int = 8192
    redirects: int = 3
    connect_s: float = 5.0
    grace_s: float = 3.0  # a server may take so long to begin, and from then on
    least_rate: int = 32 * 2**10  # bytes a second, on average
    # one request
    items: int = 64
    request_bytes: int = 128 * 2**20
    request_pixels: int = 256_000_000
    request_s: float = 30.0
    at_once: int = 4
    # the process
    fetches: int = 32  # connections; a file in memory for each
    decodes: int = 2  # threads; 4 bytes a pixel for each


DEFAULT_LIMITS = Limits()
