"""The near end of the nursery, and the processes that it forks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

POLL_S = 0.02
START_S = 120.0  # a busy machine imports torch slowly
TAIL = 40  # lines of a log that a failed test shows


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 30.0) -> None:
    """Poll; raises AssertionError with `what` did not happen in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"expected {what} within {deadline_s:g} s")
        time.sleep(POLL_S)


class Process:
    """One controller or worker; ended by pid alone."""

    def __init__(self, nursery: Nursery, path: Path, pid: int) -> None:
        self._nursery, self.path, self.pid = nursery, path, pid

    @property
    def code(self) -> int | None:
        """Its exit code once it has ended, negative after a signal."""
        return self._nursery.codes.get(self.pid)

    @property
    def out(self) -> str:
        return self.path.with_suffix(".out").read_text()

    @property
    def log(self) -> str:
        return self.path.with_suffix(".log").read_text()

    def send(self, number: signal.Signals) -> None:
        if self.code is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until the process is no more."""
        self.send(signal.SIGKILL)
        self.ended()

    def ended(self, deadline_s: float = 30.0) -> int:
        """Its exit code, waited for."""
        wait_until(lambda: self.code is not None, f"the end of {self.path.name}", deadline_s)
        assert self.code is not None
        return self.code

    def events(self) -> list[dict[str, Any]]:
        """What a worker has told whoever started it."""
        return [json.loads(line) for line in self.out.splitlines(keepends=True) if line[-1] == "\n"]

    def event(self, *kinds: str) -> dict[str, Any]:
        """The first event of those kinds, waited for."""
        found: list[dict[str, Any]] = []

        def told() -> bool:
            found[:] = [event for event in self.events() if event["event"] in kinds]
            return bool(found) or self.code is not None

        wait_until(told, f"{' or '.join(kinds)} of {self.path.name}", START_S)
        assert found, f"expected {kinds} of {self.path.name}, it ended with {self.code}: {self.log}"
        return found[0]


class Nursery:
    """`folder` gets the files of all processes; it is their XDG state home, too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.codes: dict[int, int] = {}
        self.processes: list[Process] = []
        self._born: list[int] = []
        alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nursery.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **alone, "XDG_STATE_HOME": str(folder)},
        )
        self._ready = threading.Event()
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            match json.loads(line):
                case {"dead": int(pid), "code": int(code)}:
                    self.codes[pid] = code
                case {"born": int(pid)}:
                    self._born.append(pid)
                case {"ready": int()}:
                    self._ready.set()

    def fork(self, kind: str, options: dict[str, Any], name: str) -> Process:
        path = self.folder / f"{len(self.processes):03d} {name}"
        for suffix in (".out", ".log"):
            path.with_suffix(suffix).touch()
        order = {"kind": kind, "options": options, "name": str(path)}
        assert self._ready.wait(START_S), "expected the nursery to be ready"
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        wait_until(lambda: len(self._born) > len(self.processes), f"the birth of {name}")
        process = Process(self, path, self._born[-1])
        self.processes.append(process)
        return process

    def close(self) -> None:
        """Kills what is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._ear.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
