"""The terminal that somebody sits at: keys one by one, and a screen of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from .keys import Key, keys_in


class NoTerminal(Exception):
    """There is nobody to show a live view to."""


def check(console: Console) -> None:
    """Raises NoTerminal where frames cannot follow each other in one place, or keys be heard."""
    hint = "msctl top --once prints a single frame"
    if not (sys.stdin.isatty() and console.is_terminal):
        raise NoTerminal(f"expected a terminal, got a pipe or a file: {hint}")
    if console.is_dumb_terminal:
        kind = os.environ.get("TERM", "none")
        raise NoTerminal(f"expected a terminal whose cursor can be moved, got TERM={kind}: {hint}")


@contextmanager
def listening(hear: Callable[[Key], None]) -> Iterator[None]:
    """Keys come as they are pressed, unechoed; ctrl-C and ctrl-Z keep their meaning. Needs a
    running loop."""
    loop, keyboard = asyncio.get_running_loop(), sys.stdin.fileno()
    rest = b""

    def read() -> None:
        nonlocal rest
        typed = os.read(keyboard, 1024)
        if not typed:  # the terminal is gone
            loop.remove_reader(keyboard)
            hear(Key.QUIT)
            return
        keys, rest = keys_in(rest + typed)
        for key in keys:
            hear(key)

    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)
    loop.add_reader(keyboard, read)
    try:
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
