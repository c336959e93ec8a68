"""What was asked of this controller, in numbers: a line for each request that has ended, beside the
journal, for `msctl simulate` and `bench` to ask for the same again.

Lines stand in the order in which requests ended. When the file is full it takes the place of the
one before it, so that the last some hundred thousand requests are known.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from ..scheduler.request import Phase
from .tickets import Ticket

log = logging.getLogger(__name__)

NAME, BEFORE = "served.csv", "served-before.csv"
COLUMNS = "arrival_s,text_tokens,generated_tokens,image_sizes\n"
MOST_BYTES = 16 * 2**20  # of a file


def line_of(ticket: Ticket, received_s: float) -> str:
    """`received_s`: of the wall clock. "" for a request that was refused."""
    request = ticket.request
    if request.phase is Phase.REJECTED:
        return ""
    text = request.prompt_tokens - sum(span.length for span in ticket.spans)
    sizes = "|".join(f"{image.width}x{image.height}" for image in ticket.images)
    return f"{received_s:.3f},{text},{request.emitted},{sizes}\n"


class Served:
    """Belongs to one thread."""

    def __init__(self, folder: Path) -> None:
        self._path, self._before = folder / NAME, folder / BEFORE
        self._failed = False

    def begin(self) -> None:
        """A line that was cut off, with the process that wrote it, is taken away."""
        try:
            if not self._path.exists():
                return
            whole = self._path.read_bytes()
            end = whole.rfind(b"\n") + 1
            if end < len(whole):
                with self._path.open("r+b") as file:
                    file.truncate(end)
        except OSError as error:
            self._fail(error)

    def write(self, lines: Sequence[str]) -> None:
        """What cannot be written is lost, and said once: nobody waits for it."""
        if not lines:
            return
        try:
            with self._path.open("a", encoding="ascii") as file:
                full = file.tell() >= MOST_BYTES
                if not full:
                    file.write(("" if file.tell() else COLUMNS) + "".join(lines))
            if full:
                self._path.replace(self._before)
                self.write(lines)
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if not self._failed:
            log.warning("what was asked is not recorded: %s", error)
        self._failed = True
