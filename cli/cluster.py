"""A controller and its workers as processes of this host that end when we do."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from ..client import Client, ModserveError
from ..transport.launching import GRACE_S, Joined, Launch
from ..transport.state import StateFolder

START_S = 60.0  # for the controller to listen
LOAD_S = 240.0  # for a worker to join


class NotStarted(Exception):
    """The controller did not come up; one sentence."""


class Cluster:
    """State and logs lie in a folder of its own, which leaves with it."""

    def __init__(self, model: str, *options: str) -> None:
        """`options`: more of those of `msctl start-controller`."""
        self._options = ("--model", model, *options)
        self._ending = ExitStack()
        self._launches: list[Launch] = []

    def __enter__(self) -> Self:
        with self._ending:
            home = self._ending.enter_context(tempfile.TemporaryDirectory(prefix="modserve-"))
            self._home = Path(home)
            for name in ("XDG_STATE_HOME", "MODSERVE_KEYS"):
                self._ending.callback(_restore, name, os.environ.pop(name, None))
            os.environ["XDG_STATE_HOME"] = home  # ours and the processes' we start
            self._controller = self._start()
            self._ending.callback(_end, self._controller)
            self.endpoint, _, self.http = self._ready().partition(" ")
            self._ending = self._ending.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Ask first; who has not left then is ended by its process id."""
        with self._ending:
            with suppress(ModserveError), Client(self.endpoint, timeout_s=2.0) as client:
                client.shutdown(timeout_s=GRACE_S)
            for launch in self._launches:
                with suppress(subprocess.TimeoutExpired):
                    launch.process.wait(GRACE_S)
                launch.stop()

    @property
    def pid(self) -> int:
        return self._controller.pid

    def launch(self, *stages: str, threads: int = 0) -> Launch:
        """Start a worker of these stages; `wait_for` waits until it has joined."""
        folder = StateFolder.of(self.endpoint)
        options = {
            "controller": self.endpoint,
            "stages": stages,
            "device": "auto",
            "threads": threads,
            "token": folder.token(),
        }
        launch = Launch(options, folder.log("-".join(stages)), detached=True)
        self._launches.append(launch)
        return launch

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "modserve.cli.leash", "start-controller"]
        command += [*self._options, "--bind", "tcp://127.0.0.1:0"]
        with (self._home / "controller.log").open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # the leash: if we are killed, it and its workers end
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def _ready(self) -> str:
        """The address in the ready line, and that of a gateway behind it."""
        assert self._controller.stdout is not None
        with self._controller.stdout as out:
            line = out.readline() if select.select([out], [], [], START_S)[0] else b""
        word, _, endpoint = line.decode().strip().partition(" ")
        if word != "ready":
            log = (self._home / "controller.log").read_text(errors="replace").strip()
            last = log.rpartition("\n")[2] or "no word in its log"
            raise NotStarted(f"expected a controller within {START_S:g} s, got: {last}")
        return endpoint


def wait_for(launch: Launch) -> Joined:
    return launch.joined(LOAD_S, lambda done, total: None)


def _restore(name: str, value: str | None) -> None:
    os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()
