"""The journal's files: SQLite in a folder, one file for each life of the controller.

A start reads what the lives before left, writes it into a file of its own and removes theirs. So a
file that was cut off anywhere is only ever read: what can be read of it counts, the rest is lost
and said to be. A file tells, in the same transaction as what it took over, that it took over
everything; until then the older ones count too.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from msgspec import json

SCHEMA = """
CREATE TABLE IF NOT EXISTS whole (model TEXT);
CREATE TABLE IF NOT EXISTS request (
    row INTEGER PRIMARY KEY, id TEXT, client BLOB, number INTEGER, received REAL, submit BLOB,
    checksum INTEGER
);
CREATE TABLE IF NOT EXISTS image (row INTEGER PRIMARY KEY, request INTEGER, data BLOB);
CREATE INDEX IF NOT EXISTS image_request ON image (request);
CREATE TABLE IF NOT EXISTS worker (name TEXT PRIMARY KEY, epoch INTEGER);
"""
# Committed is handed to the operating system: a killed process loses nothing. The disk is waited
# for when the log is folded into the file, so a power cut loses the last moments, never the file.
SETTINGS = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA journal_size_limit = 67108864;
"""
AT_ONCE = 256  # requests in one statement
NAME = "journal-{:06}.sqlite"

Unusable = (sqlite3.Error, OSError)


@dataclass(frozen=True, slots=True)
class Kept:
    """A request as it was accepted."""

    request_id: str
    client: bytes  # who asked, as its socket is named
    number: int  # of its session, which workers know it by
    received: float  # seconds of the wall clock
    submit: bytes  # the word itself, its seed drawn
    images: tuple[bytes | memoryview, ...]

    def checksum(self) -> int:
        """SQLite has none: a page that was cut off in its middle reads as zeros."""
        *head, submit = _fields(self)
        check = zlib.crc32(repr(head).encode())
        for part in (submit, *self.images):
            check = zlib.crc32(part, check)
        return check


@dataclass(slots=True)
class Left:
    """What the controllers before left behind."""

    requests: list[Kept] = field(default_factory=list)
    workers: dict[str, int] = field(default_factory=dict)  # name -> epoch
    complaints: list[str] = field(default_factory=list)  # files that could not be read to the end


@dataclass(slots=True)
class Batch:
    """Changes that are committed together, requests by their row numbers."""

    kept: dict[int, Kept] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    workers: dict[str, int | None] = field(default_factory=dict)  # None: it left
    served: list[str] = field(default_factory=list)  # lines of another file: served.py

    @property
    def plain(self) -> bool:
        """Nothing but requests that fit one statement."""
        images = any(one.images for one in self.kept.values())
        return not (images or self.ended or self.workers) and len(self.kept) <= AT_ONCE

    def end(self, row: int, line: str) -> None:
        if line:
            self.served.append(line)
        if self.kept.pop(row, None) is None:
            self.ended.add(row)


class Store:
    """One open file, written by one thread. Raises one of `Unusable` where that does not work."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))  # it holds what people wrote
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._db.executescript(SETTINGS + SCHEMA)
        except BaseException:
            self._db.close()
            raise

    def write(self, batch: Batch, whole_of: str | None = None) -> None:
        """All or nothing. `whole_of`: nothing older counts, and it is about this model.

        Requests without images are one statement, and that is a transaction by itself: at every
        further one the interpreter's lock changes hands, and a loop that is busy has us wait."""
        if whole_of is None and batch.plain:
            self._keep(batch.kept)
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._change(batch)
            if whole_of is not None:
                self._db.execute("INSERT INTO whole VALUES (?)", (whole_of,))
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def _change(self, batch: Batch) -> None:
        self._keep(batch.kept)
        images = ((row, image) for row, one in batch.kept.items() for image in one.images)
        self._db.executemany("INSERT INTO image (request, data) VALUES (?, ?)", images)
        if batch.ended:
            rows = json.encode(sorted(batch.ended)).decode()
            for table, column in (("request", "row"), ("image", "request")):
                ended = f"{column} IN (SELECT value FROM json_each(?))"
                self._db.execute(f"DELETE FROM {table} WHERE {ended}", (rows,))
        for name, epoch in batch.workers.items():
            if epoch is None:
                self._db.execute("DELETE FROM worker WHERE name = ?", (name,))
            else:
                self._db.execute("INSERT OR REPLACE INTO worker VALUES (?, ?)", (name, epoch))

    def _keep(self, kept: Mapping[int, Kept]) -> None:
        requests = [(row, *_fields(one), one.checksum()) for row, one in kept.items()]
        for first in range(0, len(requests), AT_ONCE):
            some = requests[first : first + AT_ONCE]
            rows = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * len(some))
            self._db.execute(
                f"INSERT OR REPLACE INTO request VALUES {rows}", list(chain.from_iterable(some))
            )

    def sync(self) -> None:
        """Wait for the disk: what was taken over is to outlive a power cut, too."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._db.close()


def files(folder: Path) -> list[Path]:
    """The newest first."""
    return sorted(folder.glob("journal-*.sqlite"), reverse=True)


def next_path(folder: Path) -> Path:
    numbers = [int(digits) for path in files(folder) if (digits := path.stem[8:]).isdigit()]
    return folder / NAME.format(max(numbers, default=0) + 1)


def remove(paths: Iterable[Path]) -> None:
    for path in paths:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def read(folder: Path, model: str) -> Left:
    """Everything that can be read in the folder and is about `model`; raises nothing."""
    left = Left()
    found: dict[str, Kept] = {}
    for path in files(folder):
        try:
            with closing(_opened(path)) as db:
                models = [name for (name,) in db.execute("SELECT model FROM whole")]
                if models and models != [model]:
                    left.complaints.append(f"{path} is about another model: what it keeps is over")
                    break
                if damaged := _read_file(db, found, left.workers):
                    left.complaints.append(f"{path}: {damaged} requests are damaged")
        except (*Unusable, UnicodeDecodeError) as error:  # a damaged text
            left.complaints.append(f"{path}: {error}")
            continue  # the older ones may know more
        if models:
            break
    left.requests = sorted(found.values(), key=lambda one: one.received)
    return left


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
    except BaseException:
        db.close()
        raise
    return db


def _read_file(db: sqlite3.Connection, found: dict[str, Kept], workers: dict[str, int]) -> int:
    """How many requests are damaged. What was read before an error is in `found` already."""
    damaged = 0
    for name, epoch in db.execute("SELECT name, epoch FROM worker"):
        if isinstance(name, str) and isinstance(epoch, int):
            workers.setdefault(name, epoch)
    for row in db.execute("SELECT * FROM request ORDER BY row"):
        kept = _checked(row[1:-1], _images(db, row[0]), row[-1])
        if kept is not None:
            found.setdefault(kept.request_id, kept)
        damaged += kept is None
    return damaged


def _images(db: sqlite3.Connection, row: int) -> Iterator[object]:
    for (data,) in db.execute("SELECT data FROM image WHERE request = ? ORDER BY row", (row,)):
        yield data


def _fields(kept: Kept) -> tuple[str, bytes, int, float, bytes]:
    return kept.request_id, kept.client, kept.number, float(kept.received), kept.submit


def _checked(values: tuple[object, ...], images: Iterator[object], checksum: object) -> Kept | None:
    """A damaged file may hold anything anywhere."""
    files = tuple(image for image in images if isinstance(image, bytes))
    match values:
        case (str(name), bytes(client), int(number), float(received), bytes(submit)):
            kept = Kept(name, client, number, received, submit, files)
            return kept if kept.checksum() == checksum else None
    return None
