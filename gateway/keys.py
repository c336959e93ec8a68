"""API keys: a file of one JSON object a line, which holds names and hashes, never a secret.

    {"name": "alice", "sha256": "9f86d0...", "requests_per_minute": 600, "concurrent": 32}

A secret has 256 random bits, so a plain SHA-256 cannot be searched; scrypt is for what people
think up, and would cost every request its time. The file is looked at again when it changes: a line
that is removed shuts its holder out within a second.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import time
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

PREFIX = "msk-"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LOOK_S = 1.0  # between two looks at the file

One = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class BadApiKeys(Exception):
    """The file of keys cannot be used; one sentence, which quotes nothing of it."""


class ApiKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    name: Annotated[str, Meta(pattern=f"^{NAME.pattern}$")]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    requests_per_minute: One | None = None  # None: as many as there are
    concurrent: One | None = None  # requests at the same time


class ApiKeys:
    """Who holds a secret."""

    def __init__(self, path: Path) -> None:
        """Raises BadApiKeys."""
        self._path = path
        self._seen: tuple[int, int, int] | None = _stamp(path)
        self._keys = read_keys(path)
        self._looked = time.monotonic()

    def holder(self, secret: str) -> ApiKey | None:
        """Compared with every key, so that the time tells nothing about any."""
        self._look_again()
        digest = _digest(secret)
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found

    def _look_again(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        try:
            seen = _stamp(self._path)
            if seen != self._seen:
                self._keys, self._seen = read_keys(self._path), seen
        except BadApiKeys:
            self._keys, self._seen = [], None  # nobody is let in by a file that cannot be read


def read_keys(path: Path) -> list[ApiKey]:
    """Raises BadApiKeys."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise BadApiKeys(f"cannot read {path}: {error.strerror or error}") from error
    keys = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            keys.append(msgspec.json.decode(line, type=ApiKey))
        except (msgspec.MsgspecError, UnicodeDecodeError):  # whose text might quote the file
            place = f"line {number} of {path}"
            raise BadApiKeys(f"expected a key of msctl make-api-key, got {place}") from None
    return keys


def make_key(
    path: Path, name: str, requests_per_minute: int | None = None, concurrent: int | None = None
) -> str:
    """Append a key and return its secret, which is kept nowhere; raises BadApiKeys."""
    if not NAME.fullmatch(name):
        raise BadApiKeys(f"expected a name of letters, digits, dots and dashes, got {name!r}")
    if path.exists() and any(key.name == name for key in read_keys(path)):
        raise BadApiKeys(f"expected a new name, got {name}, which has a key in {path}")
    secret = PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        name=name,
        sha256=_digest(secret),
        requests_per_minute=requests_per_minute,
        concurrent=concurrent,
    )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(key) + b"\n")
    except OSError as error:
        raise BadApiKeys(f"cannot write {path}: {error.strerror or error}") from error
    return secret


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", errors="replace")).hexdigest()


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise BadApiKeys(f"cannot read {path}: {error.strerror or error}") from error
    return found.st_ino, found.st_mtime_ns, found.st_size
