"""What a terminal sends for a key."""

from __future__ import annotations

from enum import Enum, auto


class Key(Enum):
    QUIT = auto()
    SORT = auto()
    PAUSE = auto()
    UP = auto()
    DOWN = auto()
    DRAIN = auto()
    YES = auto()
    OTHER = auto()


PLAIN = {
    b"q": Key.QUIT,
    b"s": Key.SORT,
    b"p": Key.PAUSE,
    b" ": Key.PAUSE,
    b"k": Key.UP,
    b"j": Key.DOWN,
    b"d": Key.DRAIN,
    b"y": Key.YES,
}
ARROWS = {b"A": Key.UP, b"B": Key.DOWN}
ESCAPE = b"\x1b"


def keys_in(typed: bytes) -> tuple[list[Key], bytes]:
    """The keys, and the beginning of one whose rest is still to come: over a slow line an arrow
    may arrive in pieces."""
    found: list[Key] = []
    while typed:
        if not typed.startswith(ESCAPE):
            found.append(PLAIN.get(typed[:1].lower(), Key.OTHER))
            typed = typed[1:]
            continue
        length = _length(typed)
        if not length:
            return found, typed
        found.append(ARROWS.get(typed[length - 1 : length], Key.OTHER))
        typed = typed[length:]
    return found, b""


def _length(typed: bytes) -> int:
    """Of the escape sequence at the beginning; 0 where it has not ended. `ESC [ parameters
    letter` or `ESC O letter`; an ESC before anything else is a key by itself."""
    if len(typed) < 2:
        return 0
    if typed[1:2] not in (b"[", b"O"):
        return 1
    for at in range(2, len(typed)):
        if 0x40 <= typed[at] <= 0x7E:
            return at + 1
    return 0
