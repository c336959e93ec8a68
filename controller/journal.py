"""Accepted requests outlive the controller: written down when they are accepted, struck out when
they end.

One thread commits whatever was asked for since its last commit: a lone request is a commit of its
own, under load hundreds share one. A request is accepted once it is written. Emitted tokens are
not written: workers and clients have them, and a run on the same seed makes the same ones again.

What cannot be written (the disk is full, the folder is gone) is said once, in the log and in
`status`. Strict, requests are refused as long as that lasts; otherwise they are served, and would
not outlive this controller. A write that hangs counts as failed after WAIT_S.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from .served import Served, line_of
from .store import Batch, Kept, Left, Store, Unusable, files, next_path, read, remove
from .tickets import Ticket

log = logging.getLogger(__name__)

MOST = 1024  # changes that wait for a tick
MOST_TURNS = 64  # of the loop, in a commit
GATHER_S = 0.0005  # for others to share a commit, if some shared the last one
WAIT_S = 2.0  # for a write, before it counts as failed
AGAIN_S = 1.0  # from a failure to the next attempt
CLOSE_S = 5.0

Then = Callable[[str], None]  # told "" when written, else why not
Change = Callable[[Batch], Any]


class Journal:
    """`folder` None keeps nothing. Belongs to the loop that it is made in."""

    def __init__(self, folder: Path | None, model: str, *, strict: bool = False) -> None:
        self._folder, self._model, self._strict = folder, model, strict
        self._loop = asyncio.get_running_loop()
        self._since_s = time.time() - self._loop.time()  # of the wall clock, when the loop's was 0
        self._served = None if folder is None else Served(folder)
        self._rows: dict[str, int] = {}  # of the open requests
        self._unwritten: dict[int, Kept] = {}  # popped by whoever comes first: thread or `tick`
        self._hanging = False
        self._count = 0
        self._waiting: dict[int, tuple[float, Then]] = {}  # since when, whom to tell; oldest first
        self._turn: list[tuple[int, Change]] = []  # what the loop's turn has asked for so far
        self._queue: SimpleQueue[list[tuple[int, Change]] | None] = SimpleQueue()
        self._later: list[Change] = []  # goes along with the next tick
        self._thread: Thread | None = None
        self._store: Store | None = None  # the thread's own
        self._path = Path()
        self._failed_at = 0.0
        self._stored: set[int] = set()  # rows in the file; the thread's own
        self.trouble = ""  # why nothing can be written at the moment

    # Starting and ending.

    def open(self) -> Left:
        """What the controllers before left; what of it is not struck out stays written."""
        if self._folder is None:
            return Left()
        left = read(self._folder, self._model)
        for complaint in left.complaints:
            log.warning("the journal was cut short: %s", complaint)
        batch = Batch(workers=dict(left.workers))
        for kept in left.requests:
            batch.kept[self._row(kept.request_id)] = kept
        older = files(self._folder)
        self._path = next_path(self._folder)
        try:
            self._store = Store(self._path)
            self._store.write(batch, whole_of=self._model)
            self._store.sync()
            self._stored.update(batch.kept)
            remove(older)
        except Unusable as error:
            self._fail(error)
            self._tell(self._why(error))
        self._thread = Thread(target=self._serve, name="journal", daemon=True)
        self._thread.start()
        return left

    def close(self) -> None:
        """Write what is asked for, and end."""
        if self._thread is None:
            return
        self._take_along()
        self._queue.put(None)
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            log.warning("the journal did not end within %g s", CLOSE_S)

    # Changes.

    @property
    def on(self) -> bool:
        return self._folder is not None

    def keep(self, kept: Kept, then: Then) -> None:
        """`then` is told from the loop, within about `WAIT_S`."""
        if self._folder is None:
            then("")
            return
        if self._hanging:
            then(self.trouble if self._strict else "")
            return
        row = self._row(kept.request_id)
        self._waiting[row] = (self._loop.time(), then)
        self._unwritten[row] = kept
        if not self._turn:
            self._loop.call_soon(self._take_along)
        self._turn.append((row, partial(self._keep, row)))

    def end(self, request_id: str, ticket: Ticket | None = None) -> None:
        """Not at once: one that is killed before has it done again, which harms nobody. What was
        asked by `ticket` is recorded."""
        row = self._rows.pop(request_id, None)
        if row is not None:
            line = "" if ticket is None else line_of(ticket, self._since_s + ticket.received)
            self._add_later(lambda batch: batch.end(row, line))

    def seat(self, worker: str, epoch: int) -> None:
        self._add_later(lambda batch: batch.workers.__setitem__(worker, epoch))

    def unseat(self, worker: str) -> None:
        self._add_later(lambda batch: batch.workers.__setitem__(worker, None))

    def tick(self) -> None:
        """Call it some times a second. Nobody waits for a disk that hangs."""
        self._take_along()
        late = self._loop.time() - WAIT_S
        while self._waiting:
            row, (since, then) = next(iter(self._waiting.items()))
            if since > late:
                return
            del self._waiting[row]
            self._unwritten.pop(row, None)  # its images are not held for a disk that hangs
            self._hanging = True
            self._tell(f"expected it written within {WAIT_S:g} s, it is not yet")
            then(self.trouble if self._strict else "")

    def status(self) -> dict[str, Any]:
        state = "off" if self._folder is None else "failing" if self.trouble else "writing"
        folder = None if self._folder is None else str(self._folder)
        return {"state": state, "folder": folder, "kept": len(self._rows), "error": self.trouble}

    def _row(self, request_id: str) -> int:
        self._count += 1
        self._rows[request_id] = self._count
        return self._count

    def _add_later(self, change: Change) -> None:
        if self._folder is not None:
            self._later.append(change)
            if len(self._later) >= MOST:
                self._take_along()

    def _take_along(self) -> None:
        self._turn += [(0, change) for change in self._later]
        self._later.clear()
        self._hand_over()

    def _hand_over(self) -> None:
        """All at once: to wake the thread costs more than a change does."""
        if self._turn:
            self._queue.put(self._turn)
            self._turn = []

    def _written(self, rows: Sequence[int], trouble: str) -> None:
        self._hanging = False
        self._tell(trouble)
        for row in rows:
            if row in self._waiting:
                _, then = self._waiting.pop(row)
                then(trouble if self._strict else "")

    def _tell(self, trouble: str) -> None:
        if bool(trouble) != bool(self.trouble):
            then = "requests are refused" if self._strict else "requests are served without it"
            if trouble:
                log.error("the journal cannot be written, %s: %s", then, trouble)
            else:
                log.warning("the journal can be written again")
        self.trouble = trouble

    # On the journal's thread.

    def _keep(self, row: int, batch: Batch) -> None:
        kept = self._unwritten.pop(row, None)
        if kept is not None:
            batch.kept[row] = kept

    def _serve(self) -> None:
        batch = Batch()
        if self._served is not None:
            self._served.begin()
        going, crowded = True, False
        while going:
            turns = [self._queue.get()]
            if crowded:
                time.sleep(GATHER_S)
            try:
                while len(turns) < MOST_TURNS:
                    turns.append(self._queue.get_nowait())
            except Empty:
                pass
            going = None not in turns
            asked = [change for turn in turns if turn is not None for change in turn]
            crowded = sum(row > 0 for row, _ in asked) > 1
            for _, change in asked:
                change(batch)
            batch.ended &= self._stored
            trouble = self._write(batch)
            if self._served is not None:
                self._served.write(batch.served)
                batch.served.clear()
            if trouble:  # what was accepted without the journal stays without it
                batch = Batch(ended=batch.ended, workers=batch.workers)
            else:
                self._stored |= batch.kept.keys()
                self._stored -= batch.ended
                batch = Batch()
            with suppress(RuntimeError):  # the loop is closed: it did not wait for a disk that hung
                self._loop.call_soon_threadsafe(self._written, [row for row, _ in asked], trouble)
        if self._store is not None:
            self._store.close()

    def _write(self, batch: Batch) -> str:
        """Why not, or ""."""
        try:
            if self._store is None:
                if time.monotonic() - self._failed_at < AGAIN_S:
                    return self.trouble or f"{self._path}: it failed a moment ago"
                self._store = Store(self._path)
            self._store.write(batch)
        except Exception as error:  # the border of the thread: whatever it is, it cannot be written
            if not isinstance(error, Unusable):
                log.exception("the journal failed")
            self._fail(error)
            return self._why(error)
        return ""

    def _fail(self, error: Exception) -> None:
        """The file is opened again later, or left for the next start to read what it can."""
        self._failed_at = time.monotonic()
        if self._store is not None:
            self._store.close()
            self._store = None
        broken = isinstance(error, sqlite3.DatabaseError) and not isinstance(
            error, sqlite3.OperationalError
        )
        if broken and self._folder is not None:
            self._path = next_path(self._folder)

    def _why(self, error: Exception) -> str:
        return f"{self._path}: {error}"
