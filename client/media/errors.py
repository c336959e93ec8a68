"""Why a URL's picture is not taken, in words that tell nothing about the network around us.

Whoever chooses a URL reads these sentences: an address that is closed, a name that does not
resolve, a port where nobody listens and a page that is no picture must not be told apart.
"""

from __future__ import annotations

from ..errors import BadInput
from .limits import Limits

NOT_A_URL = "expected an http, https or data URL of a picture, got another thing"
NOT_BASE64 = "expected a data URL like data:image/png;base64,..., got another thing"
NOT_FETCHED = "expected a URL that can be fetched, got one that cannot"
NOT_IN_TIME = "expected a picture that arrives in time, got one that does not"
NOT_A_PICTURE = "expected a whole, still picture ({formats}), got another thing"
TOO_LARGE = "expected a picture of at most {bytes} bytes, got a larger one"
TOO_MANY_PIXELS = (
    "expected a picture of at most {pixels} pixels and {side} a side, no more than {ratio} times "
    "as long as wide, got another shape"
)
TOO_MANY = "expected at most {items} pictures in a request, got {got}"
TOO_LARGE_IN_ALL = "expected pictures of at most {bytes} bytes in a request, got more"
TOO_MANY_PIXELS_IN_ALL = "expected pictures of at most {pixels} pixels in a request, got more"


class BadMedia(BadInput):
    """`status` is HTTP's: 400 a URL, 408 time, 413 a limit, 422 a file. `str()` may be shown."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def no_picture(limits: Limits) -> BadMedia:
    return BadMedia(422, NOT_A_PICTURE.format(formats=", ".join(limits.formats)))
