"""Where a controller keeps its token, its logs and its own description: one folder per endpoint.

`$XDG_STATE_HOME` (or `~/.local/state`) / modserve / 127.0.0.1-7700. Whoever can read the token
may stop the controller and its workers, so the folder is its owner's alone.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

_HOSTS = {"localhost": "127.0.0.1", "*": "0.0.0.0"}


class StateUnusable(Exception):
    """The folder cannot be made, read or written; one sentence."""


class Description(msgspec.Struct, frozen=True):
    """controller.json: which process serves what."""

    endpoint: str
    pid: int
    model: str


@dataclass(frozen=True)
class StateFolder:
    path: Path

    @classmethod
    def of(cls, endpoint: str) -> StateFolder:
        """The folder of the controller at `endpoint`; one that listens everywhere is found too."""
        path = _root() / _name(endpoint)
        everywhere = _root() / f"0.0.0.0-{endpoint.rpartition(':')[2]}"
        return cls(everywhere if everywhere.exists() and not path.exists() else path)

    def create(self) -> str:
        """Make the folder and return its token, drawn where there is none; raises StateUnusable."""
        with _one_sentence("write", self.path):
            (self.path / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            token = self.token()
            if token is None:
                token = secrets.token_hex(16)
                _write(self.path / "token", token.encode())
            (self.path / "token").chmod(0o600)
        return token

    def token(self) -> str | None:
        """What stop, remove and add need to show; None where no controller has been."""
        with _one_sentence("read", self.path / "token"):
            try:
                return (self.path / "token").read_text().strip() or None
            except FileNotFoundError:
                return None

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def describe(self, controller: Description) -> None:
        with _one_sentence("write", self.path):
            _write(self.path / "controller.json", msgspec.json.encode(controller))

    def description(self) -> Description | None:
        """What the last controller here wrote about itself; None where it is missing or garbled."""
        with _one_sentence("read", self.path):
            try:
                written = (self.path / "controller.json").read_bytes()
                return msgspec.json.decode(written, type=Description)
            except (FileNotFoundError, msgspec.DecodeError):
                return None


def keys_folder() -> Path:
    """Where `msctl keygen` writes by default."""
    return _root() / "keys"


def profiles_folder() -> Path:
    """Where `msctl profile` writes by default."""
    return _root() / "profiles"


def _root() -> Path:
    """The XDG rule: a relative XDG_STATE_HOME counts as none."""
    told = Path(os.environ.get("XDG_STATE_HOME", ""))
    home = told if told.is_absolute() else Path.home() / ".local" / "state"
    return home / "modserve"


def _name(endpoint: str) -> str:
    """tcp://localhost:7700 and tcp://127.0.0.1:7700 are one controller."""
    _, _, rest = endpoint.partition("://")
    host, colon, port = rest.rpartition(":")
    where = f"{_HOSTS.get(host, host)}-{port}" if colon else rest
    return re.sub(r"[^A-Za-z0-9._-]+", "-", where).strip("-") or "unnamed"


def _write(file: Path, body: bytes) -> None:
    """Whole or not at all, and never readable by others on the way."""
    draft = file.with_name(f".{file.name}-{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(body)
    draft.replace(file)


@contextmanager
def _one_sentence(verb: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise StateUnusable(f"cannot {verb} {error.filename or path}: {why}") from error
