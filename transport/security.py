"""Who may speak: ZeroMQ's CURVE, and how its keys lie in files.

    KEYS/controller.json   the controller's pair                       its owner's alone
    KEYS/allowed/alice     alice's public key: remove the file to shut her out
    KEYS/alice.json        alice's pair and the controller's public key: for her hosts alone

CURVE (http://curvezmq.org) encrypts and authenticates both ends: a peer without an allowed key does
not get through the handshake, and a controller that is not the one in the peer's file neither.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeVar

import msgspec
import zmq

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
KEY = re.compile(rb"[\x21-\x7e]{40}")  # 32 bytes in Z85
CONTROLLER, ALLOWED = "controller.json", "allowed"


class BadKeys(ValueError):
    """A key file that is missing, open to others, or holds no keys; one sentence."""


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    public: str
    secret: str

    def __repr__(self) -> str:
        return f"Pair({self.public})"


class PeerKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    public: str
    secret: str
    controller: str  # its public key

    def __repr__(self) -> str:
        return f"PeerKeys({self.public})"

    @classmethod
    def read(cls, path: Path) -> PeerKeys:
        """Raises BadKeys."""
        return _read(path, cls)


Keys = TypeVar("Keys", Pair, PeerKeys)


class Gate:
    """The controller's pair, and whose keys it lets in: those that lie in the folder now."""

    def __init__(self, folder: Path) -> None:
        """Raises BadKeys."""
        self.pair = _read(folder / CONTROLLER, Pair)
        self._folder = folder / ALLOWED
        self._seen: list[tuple[str, int, int, int]] = []
        self._allowed: frozenset[bytes] = frozenset()
        self.refresh()

    def allows(self, public: bytes) -> bool:
        return public in self._allowed

    def callback(self, domain: str, key: bytes) -> bool:
        """What zmq.auth asks at every handshake, in a thread of its own."""
        self.refresh()
        return self.allows(key)

    def refresh(self) -> None:
        """Look at what has changed. A folder that cannot be read lets nobody in."""
        try:
            with os.scandir(self._folder) as entries:
                files = sorted((one.name, one.stat()) for one in entries if one.is_file())
            seen = [(name, stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in files]
            if seen != self._seen:
                read = [(self._folder / name).read_bytes().strip() for name, _ in files]
                self._allowed = frozenset(key for key in read if KEY.fullmatch(key))
                self._seen = seen
        except OSError:
            self._allowed, self._seen = frozenset(), []


def make(folder: Path, name: str) -> Path:
    """Make the controller's pair where there is none, and one for a peer; returns the peer's file.

    Raises BadKeys for a name that is taken or is none, or a folder that cannot be written.
    """
    if not NAME.fullmatch(name) or f"{name}.json" == CONTROLLER:
        raise BadKeys(f"expected a name of letters, digits, dots and dashes, got {name}")
    peer, allowed = folder / f"{name}.json", folder / ALLOWED / name
    try:
        allowed.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if peer.exists() or allowed.exists():
            raise BadKeys(f"expected a new name, got {name}, which has keys in {folder}")
        if not (folder / CONTROLLER).exists():
            _write(folder / CONTROLLER, _pair())
        controller, own = _read(folder / CONTROLLER, Pair), _pair()
        _write(peer, PeerKeys(own.public, own.secret, controller.public))
        draft = folder / f".{name}"
        draft.write_text(f"{own.public}\n")
        draft.replace(allowed)  # whole, or not there
    except OSError as error:
        raise BadKeys(f"cannot write keys to {folder}: {error.strerror or error}") from error
    return peer


def _pair() -> Pair:
    public, secret = zmq.curve_keypair()
    return Pair(public.decode(), secret.decode())


def _write(path: Path, keys: msgspec.Struct) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(keys)) + b"\n")


def _read(path: Path, kind: type[Keys]) -> Keys:
    try:
        if path.stat().st_mode & 0o077:
            raise BadKeys(f"expected {path} to be its owner's alone (chmod 600), others can use it")
        keys = msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise BadKeys(f"cannot read keys from {path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError):  # whose text might quote a key
        raise BadKeys(f"expected keys as msctl keygen makes them, got others in {path}") from None
    if not all(KEY.fullmatch(text.encode()) for text in msgspec.structs.astuple(keys)):
        raise BadKeys(f"expected keys as msctl keygen makes them, got others in {path}")
    return keys
