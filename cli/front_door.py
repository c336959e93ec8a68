"""The gateway of `start-controller --http`: a process that ends with the controller."""

from __future__ import annotations

import logging
import select
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..transport.security import make

log = logging.getLogger(__name__)

START_S = 60.0  # for the gateway to listen
GRACE_S = 8.0  # for its open answers to end
KEYS = "gateway"  # whose keys these are, in the controller's folder


class NoGateway(Exception):
    """The gateway did not come up; one sentence."""


class FrontDoor:
    """One gateway beside a controller. Its log goes where the controller's does."""

    def __init__(self, http: str, *, keys: Path | None, options: Sequence[str] = ()) -> None:
        """`http`: HOST:PORT; `keys`: the controller's folder of CURVE keys; `options`: more of
        `msctl start-gateway`."""
        host, _, port = http.rpartition(":")
        self._options = ["--host", host.removeprefix("[").removesuffix("]"), "--port", port]
        self._options += options
        self._keys = keys
        self._stopping = False

    def start(self, endpoint: str) -> str:
        """Wait until it listens; its address. Raises NoGateway."""
        command = [sys.executable, "-P", "-m", "modserve.cli.leash", "start-gateway"]
        command += ["--controller", _reachable(endpoint), *self._options, *self._key_options()]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # the leash: if we are killed, it ends
            stdout=subprocess.PIPE,
            start_new_session=True,  # ctrl-C is for the controller
        )
        assert self._process.stdout is not None
        with self._process.stdout as out:
            line = out.readline() if select.select([out], [], [], START_S)[0] else b""
        word, _, address = line.decode().strip().partition(" ")
        if word != "ready":
            self.stop()
            raise NoGateway("expected the gateway to listen, it has ended: see the line above")
        threading.Thread(target=self._watch, daemon=True).start()
        return address

    def stop(self) -> None:
        self._stopping = True
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _key_options(self) -> list[str]:
        if self._keys is None:
            return []
        file = self._keys / f"{KEYS}.json"
        return ["--keys", str(file if file.exists() else make(self._keys, KEYS))]

    def _watch(self) -> None:
        code = self._process.wait()
        if not self._stopping:
            log.error("the gateway has ended with %d: nobody answers HTTP any more", code)


def _reachable(endpoint: str) -> str:
    """An address to connect to, of one that was listened on."""
    return endpoint.replace("//0.0.0.0:", "//127.0.0.1:").replace("//*:", "//127.0.0.1:")
