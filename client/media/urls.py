"""The one reading of a URL: what this takes its host for is what is connected to.

httpx2 parses (RFC 3986, names to ASCII by IDNA 2008); what two parsers might read in two ways is
refused here, though the address that is connected to is checked in any case.
"""

from __future__ import annotations

import re

import httpx2

from .addresses import address_of
from .errors import NOT_A_URL, BadMedia

_ODD = re.compile(r"[\x00-\x20\x7f\\]")
_NAME = re.compile(r"(?:(?!-)[a-z0-9_-]{1,63}(?<!-)\.)*(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)")  # C libraries read such names as addresses
_MOST_NAME = 253  # characters


def read_url(text: str, most_chars: int) -> httpx2.URL:
    """An http or https URL without user-info; BadMedia for any other."""
    try:
        if len(text) > most_chars or _ODD.search(text):
            raise httpx2.InvalidURL("odd characters, or too many")
        return _checked(httpx2.URL(text))
    except httpx2.InvalidURL as error:
        raise BadMedia(400, NOT_A_URL) from error


def read_redirect(base: httpx2.URL, location: bytes, most_chars: int) -> httpx2.URL:
    """Where a server at `base` sends us; never from https back to http."""
    try:
        target = read_url(str(base.join(location.decode("ascii"))), most_chars)
    except (UnicodeDecodeError, httpx2.InvalidURL) as error:
        raise BadMedia(400, NOT_A_URL) from error
    if base.scheme == "https" != target.scheme:
        raise BadMedia(400, NOT_A_URL)
    return target


def _checked(url: httpx2.URL) -> httpx2.URL:
    if url.scheme not in ("http", "https") or url.userinfo or url.port == 0:
        raise httpx2.InvalidURL("another scheme, user-info or port 0")
    host = url.raw_host.decode("ascii")
    if ":" in host:
        good = "%" not in host and address_of(host) is not None
    elif _NUMBER.fullmatch(host):
        good = address_of(host) is not None
    else:
        good = len(host) <= _MOST_NAME and _NAME.fullmatch(host) is not None
    if not good:
        raise httpx2.InvalidURL("no host")
    return url
