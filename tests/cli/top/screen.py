"""msctl in a terminal of a given size, as a person has it: keys go in, a screen comes out."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

DEADLINE_S = 30.0
MSCTL = (sys.executable, "-m", "modserve.cli.main")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen:
    """Only text that came since the last look is looked at."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process, self._master = process, master
        self.raw = ""  # all of it
        self._new = ""

    def press(self, *keys: bytes) -> None:
        for key in keys:
            os.write(self._master, key)

    def shows(self, text: str) -> str:
        """Everything up to `text`, once that is there, without colours and movements."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in (plain := ESCAPES.sub("", self._new)):
            assert time.monotonic() < deadline, f"expected {text}, got {plain}"
            self._read(DEADLINE_S)
        self._new = ""
        return plain

    def ends(self) -> int:
        """The exit code; what is left on the screen is read meanwhile."""
        ending = os.pidfd_open(self.process.pid)
        deadline = time.monotonic() + DEADLINE_S
        try:
            while not select.select([ending], [], [], 0)[0]:
                assert time.monotonic() < deadline, f"expected an end, got {self._new}"
                select.select([ending, self._master], [], [], deadline - time.monotonic())
                self._read(0.0)
        finally:
            os.close(ending)
        self._read(0.0)
        return self.process.wait()

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def _read(self, limit_s: float) -> None:
        if select.select([self._master], [], [], limit_s)[0]:
            told = os.read(self._master, 65_536).decode(errors="replace")
            self.raw += told
            self._new += told


@contextmanager
def screen(
    *line: str, env: Mapping[str, str], width: int = 80, height: int = 24
) -> Iterator[Screen]:
    master, slave = pty.openpty()
    size = struct.pack("HHHH", height, width, 0, 0)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
    mode = termios.tcgetattr(slave)
    process = subprocess.Popen(
        (sys.executable, "-c", AS_LEADER, *MSCTL, *line),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**_without_size(env), "TERM": "xterm-256color"},
        start_new_session=True,
    )
    try:
        yield Screen(process, master)
        assert termios.tcgetattr(slave) == mode, "the terminal was left otherwise than found"
    finally:
        process.kill()
        process.wait()
        os.close(slave)
        os.close(master)


def _without_size(env: Mapping[str, str]) -> dict[str, str]:
    """Whoever has these gets frames of that size, whatever the terminal's is."""
    return {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")}


AS_LEADER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
