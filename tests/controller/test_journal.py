"""What is written down is there at the next start, whatever became of the file."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modserve.controller import journal as journals
from modserve.controller.journal import Journal
from modserve.controller.store import Kept, Left, files

from .scripted import DEADLINE_S, conversation

MODEL = "a fingerprint"


def kept(name: str, *images: bytes, received: float = 1.0) -> Kept:
    return Kept(name, b"client", 7, received, name.encode() * 10, images)


class Book:
    """A journal whose every change has been answered when `close` returns."""

    def __init__(self, folder: Path, *, strict: bool = True, model: str = MODEL) -> None:
        self.journal = Journal(folder, model, strict=strict)
        self.left = self.journal.open()

    async def keep(self, one: Kept) -> str:
        told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.journal.keep(one, told.set_result)
        async with asyncio.timeout(DEADLINE_S):
            return await told

    def close(self) -> None:
        self.journal.close()


def reopened(folder: Path, model: str = MODEL) -> Left:
    book = Book(folder, model=model)
    book.close()
    return book.left


@conversation
async def test_what_was_kept_and_has_not_ended_is_left(tmp_path: Path) -> None:
    book = Book(tmp_path)
    for one in (kept("b", b"x", b"y", received=2.0), kept("a"), kept("c")):
        assert await book.keep(one) == ""
    book.journal.end("c")
    book.journal.seat("text-0", 2**62)
    book.journal.seat("text-1", 3)
    book.journal.unseat("text-1")
    book.close()
    for _ in range(2):  # what was left and not struck out is left again
        left = reopened(tmp_path)
        assert left.requests == [kept("a"), kept("b", b"x", b"y", received=2.0)]
        assert left.workers == {"text-0": 2**62}
        assert left.complaints == []


@conversation
async def test_a_thousand_ends_leave_nothing(tmp_path: Path) -> None:
    book = Book(tmp_path)
    for number in range(1000):
        book.journal.keep(kept(str(number), b"image"), lambda _: None)
        book.journal.end(str(number - 3))
    book.close()
    assert [one.request_id for one in reopened(tmp_path).requests] == ["997", "998", "999"]


@conversation
async def test_requests_to_another_model_are_over(tmp_path: Path) -> None:
    book = Book(tmp_path)
    await book.keep(kept("a"))
    book.close()
    left = reopened(tmp_path, model="another")
    assert left.requests == []
    assert "another model" in left.complaints[0]


@conversation
async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    book = Book(tmp_path / "journal")
    await book.keep(kept("a"))
    for file in (tmp_path / "journal").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    book.close()


@pytest.mark.parametrize("suffix", ["", "-wal"])
@conversation
async def test_a_file_that_was_cut_anywhere_still_opens(tmp_path: Path, suffix: str) -> None:
    """And what is read of it is what was written."""
    book = Book(tmp_path / "whole")
    some = [kept(str(number), bytes([number]) * 3000, received=number) for number in range(12)]
    for one in some:
        await book.keep(one)
    (path,) = files(tmp_path / "whole")
    whole = {file: path.with_name(path.name + file).read_bytes() for file in ("", "-wal")}
    book.close()
    folded = path.read_bytes()  # by the close: all is in the file itself
    seen: set[int] = set()
    body = folded if suffix == "" else whole["-wal"]
    for cut in [*range(0, len(body), 997), *range(len(body) - 40, len(body) + 1)]:
        folder = tmp_path / f"{cut}{suffix}"
        folder.mkdir()
        if suffix:
            (folder / path.name).write_bytes(whole[""])
        (folder / f"{path.name}{suffix}").write_bytes(body[:cut])
        left = reopened(folder)
        assert all(one == some[int(one.request_id)] for one in left.requests)
        seen.add(len(left.requests))
        assert len(files(folder)) == 1
    assert max(seen) == len(some)
    assert min(seen) == 0


@conversation
async def test_bytes_that_are_no_journal_are_passed_by(tmp_path: Path) -> None:
    (tmp_path / "journal-000007.sqlite").write_bytes(bytes(range(256)) * 40)
    left = reopened(tmp_path)
    assert left.requests == []
    assert "file is not a database" in left.complaints[0]
    assert [file.name for file in files(tmp_path)] == ["journal-000008.sqlite"]


@contextmanager
def no_more_disk(limit: int) -> Iterator[None]:
    """No file of this process may grow beyond."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("strict", [True, False])
@conversation
async def test_a_full_disk_is_told_and_the_next_write_that_fits_counts(
    tmp_path: Path, strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "AGAIN_S", 0.0)
    book = Book(tmp_path, strict=strict)
    assert await book.keep(kept("before")) == ""
    with no_more_disk(100_000):
        told = await book.keep(kept("large", bytes(300_000)))
        assert bool(told) == strict
        assert book.journal.status()["state"] == "failing"
        assert "full" in book.journal.trouble or "I/O" in book.journal.trouble
        book.journal.end("before")
    assert await book.keep(kept("after")) == ""
    assert book.journal.status()["state"] == "writing"
    book.close()
    assert [one.request_id for one in reopened(tmp_path).requests] == ["after"]


@conversation
async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    book = Book(tmp_path / "file" / "journal")
    assert "Not a directory" in await book.keep(kept("a"))
    book.close()


@conversation
async def test_nobody_waits_for_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "WAIT_S", 0.0)
    journal = Journal(tmp_path, MODEL, strict=True)  # not opened: nobody writes
    told: list[str] = []
    journal.keep(kept("a"), told.append)
    journal.tick()
    journal.keep(kept("b"), told.append)  # at once
    assert ["expected it written within" in one for one in told] == [True, True]
    assert journal.status()["state"] == "failing"
