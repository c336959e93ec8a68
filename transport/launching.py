"""A worker process, from its start to its first word that matters.

It gets its options as one line of JSON on stdin (a token in an argument list could be read by
everybody on the host), tells how far it is as lines of JSON on stdout, and logs to stderr.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

COMMAND = (sys.executable, "-P", "-m", "modserve.worker")
EMULATED = (sys.executable, "-P", "-m", "modserve.worker.emulated")
GRACE_S = 5.0  # between SIGTERM and SIGKILL

TAIL = 8192  # bytes of a log among which its last line is looked for

Progress = Callable[[int, int], None]  # bytes loaded, bytes in all


class WorkerFailed(Exception):
    """One sentence: the worker's own, or what is known of its end."""


@dataclass(frozen=True)
class Joined:
    name: str
    pid: int
    log: Path


class Launch:
    def __init__(
        self,
        options: dict[str, Any],
        log: Path,
        *,
        detached: bool,
        leash: bool = False,
        command: Sequence[str] = COMMAND,
    ) -> None:
        """Start the process; detached, it outlives our terminal, and us unless it is on a leash:
        then it leaves when we are gone, `kill -9` included."""
        self._log, self._leash = log, leash
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr if detached else subprocess.PIPE,
                start_new_session=detached,
            )
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        if not detached:
            self._copying = threading.Thread(target=self._copy_log, daemon=True)
            self._copying.start()
        self._instruct({**options, "log": str(log)} | ({"leash": True} if leash else {}))

    def joined(self, timeout_s: float, progress: Progress) -> Joined:
        """Wait until the worker serves; raises WorkerFailed, and has stopped it then."""
        deadline = time.monotonic() + timeout_s
        try:
            return self._joined(deadline, progress)
        except queue.Empty:
            self.stop()
            raise WorkerFailed(f"expected the worker to be ready in {timeout_s:g} s") from None
        except WorkerFailed:
            self.stop()
            raise

    def _joined(self, deadline: float, progress: Progress) -> Joined:
        while True:
            event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            match event:
                case {"event": "ready", "name": str(name), "pid": int(pid)}:
                    return Joined(name, pid, self._log)
                case {"event": "error", "reason": str(reason)}:
                    raise WorkerFailed(reason)
                case {"event": "loading", "done": int(done), "total": int(total)}:
                    progress(done, total)
                case None:
                    raise WorkerFailed(f"expected a ready worker, got {self.last_words()}")

    def wait(self) -> int:
        """Stay with the worker until it ends; its code."""
        code = self.process.wait()
        self._copying.join(GRACE_S)
        return code

    @contextmanager
    def signalled(self) -> Iterator[None]:
        """The signals that end us end the worker instead: gently twice, and then no longer."""
        gently = iter((self.process.terminate, self.process.terminate))
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = [
            signal.signal(number, lambda *_: next(gently, self.process.kill)())
            for number in numbers
        ]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._let_go()

    def _instruct(self, options: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already: `joined` tells why
            self.process.stdin.write(orjson.dumps(options) + b"\n")
            self.process.stdin.flush()
        if not self._leash:
            self._let_go()

    def _let_go(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                try:
                    event = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue  # some library printed something
                self._events.put(event if isinstance(event, dict) else {})
        self._events.put(None)

    def _copy_log(self) -> None:
        """In the foreground the log goes to our stderr too, where systemd and docker look."""
        assert self.process.stderr is not None
        with self.process.stderr as lines, self._log.open("ab", buffering=0) as log:
            for line in lines:
                log.write(line)
                sys.stderr.buffer.write(line)
                sys.stderr.flush()

    def last_words(self) -> str:
        """How the process ended, which has happened or is about to, and what it logged last."""
        code = self.process.wait()
        end = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        with self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL))
            lines = log.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "none")
        return f"{end}; the last line of {self._log}: {last}"
