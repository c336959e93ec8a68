"""A Ray actor that keeps one worker process on its node.

The worker is a process of its own, not the actor: Ray's threads and signals stay out of it, and it
is started as on every other host. It is on a leash: when the actor is gone, however that came
about, the worker leaves.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from ...transport.launching import Launch, WorkerFailed
from ...transport.state import StateFolder
from .invitation import reachable


class Keeper:
    """Ray calls these methods from several threads at once."""

    def __init__(self) -> None:
        self._launch: Launch | None = None

    def begin(
        self, options: dict[str, Any], home: str, keys: str, limit_s: float
    ) -> dict[str, Any]:
        """Start the worker and wait until it is ready; its pid and place, or the reason why not.

        `home`: the controller's host, for one that listens everywhere. `keys`: what the worker's
        file of keys holds, empty for none; it is written for its owner alone, and removed as soon
        as the worker has read it.
        """
        from ray.util import get_node_ip_address

        host = get_node_ip_address()
        endpoint = reachable(options["controller"], home)
        log = StateFolder.of(endpoint).log(f"{options['name']}-{secrets.token_hex(3)}")
        file = _write(keys) if keys else None
        told = {**options, "controller": endpoint, "data_host": host, "keys": str(file or "")}
        try:
            self._launch = Launch(told, log, detached=True, leash=True)
            joined = self._launch.joined(limit_s, lambda done, total: None)
        except (WorkerFailed, OSError) as error:
            return {"reason": str(error)}
        finally:
            if file is not None:
                file.unlink()
        return {"pid": joined.pid, "host": host, "log": str(log)}

    def ended(self) -> str:
        """Wait for the end of the worker; how it ended, empty where it left as told."""
        assert self._launch is not None
        return self._launch.last_words() if self._launch.process.wait() else ""

    def stop(self) -> None:
        if self._launch is not None:
            self._launch.stop()


def _write(keys: str) -> Path:
    descriptor, name = tempfile.mkstemp(prefix="modserve-")  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(keys)
    return Path(name)
