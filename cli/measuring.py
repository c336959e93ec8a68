"""The process that measures, since torch is not imported here: options in, JSON lines back."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import orjson
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from ..scheduler.costs.profile import Profile
from ..scheduler.costs.written import read
from .printing import console
from .termination import interrupted_by_sigterm

COMMAND = (sys.executable, "-P", "-m", "modserve.worker.profiling")
GRACE_S = 5.0  # between SIGTERM and SIGKILL

Told = Callable[[str, int, int], None]  # what is measured, runs done, runs in all


class NotMeasured(Exception):
    """One sentence: the process's own, or what is known of its end."""


def measure(options: dict[str, Any]) -> list[Profile]:
    """Raises NotMeasured; ctrl-C ends the process too."""
    with interrupted_by_sigterm(), tempfile.TemporaryFile() as log, _process(log) as process:
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as stdin:  # what it said before tells why
            stdin.write(orjson.dumps(options) + b"\n")
        with _progress() as told:
            return _listen(process, log, told)


def _listen(process: subprocess.Popen[bytes], log: IO[bytes], told: Told) -> list[Profile]:
    assert process.stdout is not None
    found: list[Profile] = []
    for event in _events(process.stdout):
        match event:
            case {"event": "measuring", "what": str(what), "done": int(done), "total": int(total)}:
                told(what, done, total)
            case {"event": "profile", "text": str(text)}:
                found += read(text)
            case {"event": "error", "reason": str(reason)}:
                raise NotMeasured(reason)
            case {"event": "done"}:
                return found
    raise NotMeasured(_last_words(process, log))


def _events(lines: IO[bytes]) -> Iterator[Any]:
    for line in lines:
        try:
            yield orjson.loads(line)
        except orjson.JSONDecodeError:
            continue  # some library printed something


@contextmanager
def _process(log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _last_words(process: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    code = process.wait()
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").split("\n")]
    last = next((line for line in reversed(lines) if line), "nothing")
    return f"expected profiles, got exit code {code}; the last line of its log: {last}"


@contextmanager
def _progress() -> Iterator[Told]:
    """A bar for each component on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def told(what: str, done: int, total: int) -> None:
            if what == "loading":
                return  # counted in bytes, and soon over
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        yield told
