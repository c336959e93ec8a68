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
        return _checked(_parsed(text, most_chars))
    except httpx2.InvalidURL as error:
        raise BadMedia(400, NOT_A_URL) from error


def read_redirect(base: httpx2.URL, location: bytes, most_chars: int) -> httpx2.URL:
    """Where a server at `base` sends us; never from https back to http."""
    try:
        target = _parsed(location.decode("ascii"), most_chars)
        if not target.scheme:
            target = base.join(target)
        if base.scheme == "https" != target.scheme:
            raise httpx2.InvalidURL("from https to http")
        return _checked(target)
    except (UnicodeDecodeError, httpx2.InvalidURL) as error:
        raise BadMedia(400, NOT_A_URL) from error


def _parsed(text: str, most_chars: int) -> httpx2.URL:
    if not 0 < len(text) <= most_chars or _ODD.search(text):
        raise httpx2.InvalidURL("odd characters, none, or too many")
    return httpx2.URL(text)


def _checked(url: httpx2.URL) -> httpx2.URL:
    if url.scheme not in ("http", "https") or url.userinfo:
        raise httpx2.InvalidURL("another scheme, or user-info")
    if url.port is not None and not 0 < url.port < 2**16:
        raise httpx2.InvalidURL("no port")
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
