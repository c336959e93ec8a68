"""The process that speaks with Ray: orders as JSON lines on stdin, what came of them on stdout.

    python -m modserve.controller.launching.ray_agent ADDRESS

Ray's calls block, hold locks that a thread cannot be torn from, and its C++ half ends the process
when the cluster is lost; it unpickles, too. So it is kept out of the controller: this process can
be killed. It owns the actors, so they end with it, and with them the workers.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from .ray_keeper import Keeper

POLL_S = 0.1
STOP_S = 8.0  # for a worker to end before its actor is killed
METHODS = 4  # of an actor at once: `ended` waits all the time


def main(address: str) -> int:
    out = os.dup(1)
    os.dup2(2, 1)  # what Ray prints belongs in the log

    def tell(**word: Any) -> None:
        with suppress(OSError):
            os.write(out, orjson.dumps(word) + b"\n")

    import ray  # here alone: everything else works without it

    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except Exception as error:  # whatever Ray raises: the controller is told in its words
        tell(event="error", reason=f"expected a Ray cluster at {address}: {_words(error)}")
        return 1
    tell(event="up")
    Agent(ray, tell).serve()
    return 0


@dataclass(slots=True)
class Kept:
    """A worker on some node: what is waited for, and until when."""

    keeper: Any
    begun: Any  # references of Ray's
    ended: Any = None
    stopped: Any = None
    stop_by: float = 0.0


class Agent:
    def __init__(self, ray: Any, tell: Any) -> None:
        self._ray, self._tell = ray, tell
        self._host = ray.util.get_node_ip_address()  # of the controller, as other nodes reach it
        self._kept: dict[str, Kept] = {}
        self._orders: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def serve(self) -> None:
        """Until stdin ends."""
        while True:
            with suppress(queue.Empty):
                order = self._orders.get(timeout=POLL_S)
                if order is None:
                    break
                self._obey(order)
            for name, kept in list(self._kept.items()):
                self._look(name, kept)
        self._end_all()

    def _listen(self) -> None:
        for line in sys.stdin.buffer:
            self._orders.put(orjson.loads(line))
        self._orders.put(None)

    def _obey(self, order: dict[str, Any]) -> None:
        name = order["name"]
        if order["do"] == "launch":
            self._launch(name, order)
        elif (kept := self._kept.get(name)) is None:
            self._tell(event="stopped", name=name)
        else:
            kept.stopped, kept.stop_by = kept.keeper.stop.remote(), time.monotonic() + STOP_S

    def _launch(self, name: str, order: dict[str, Any]) -> None:
        if name in self._kept:
            self._drop(name)  # it has left, and takes a while to end
        cpus, gpus = order["cpus"], order["gpus"]
        whole = self._ray.cluster_resources()
        all_cpus, all_gpus = whole.get("CPU", 0), whole.get("GPU", 0)
        if cpus > all_cpus or gpus > all_gpus:  # it would wait for ever
            wanted, got = f"{cpus:g} CPUs and {gpus:g} GPUs", f"{all_cpus:g} and {all_gpus:g}"
            reason = f"expected a Ray cluster with {wanted}, got one with {got}"
            self._tell(event="failed", name=name, reason=reason)
            return
        kind = self._ray.remote(Keeper)
        keeper = kind.options(num_cpus=cpus, num_gpus=gpus, max_concurrency=METHODS).remote()
        options = {**order["options"], "device": "cuda:0" if gpus else "cpu"}
        begun = keeper.begin.remote(options, self._host, order["keys"], order["limit_s"])
        self._kept[name] = Kept(keeper, begun)

    def _look(self, name: str, kept: Kept) -> None:
        """Tell what has become of one worker; nothing here waits."""
        if kept.stopped is not None:
            if self._ready(kept.stopped) or time.monotonic() > kept.stop_by:
                self._drop(name)
                self._tell(event="stopped", name=name)
        elif kept.ended is not None:
            if self._ready(kept.ended):
                self._drop(name)
                self._tell(event="ended", name=name, reason=self._result(kept.ended))
        elif self._ready(kept.begun):
            self._begun(name, kept)

    def _begun(self, name: str, kept: Kept) -> None:
        match self._result(kept.begun):
            case {"pid": int(pid), "host": str(host), "log": str(log)}:
                kept.ended = kept.keeper.ended.remote()
                self._tell(event="launched", name=name, pid=pid, host=host, log=log)
            case {"reason": str(reason)} | str(reason):
                self._drop(name)
                self._tell(event="failed", name=name, reason=reason)

    def _ready(self, reference: Any) -> bool:
        done, _ = self._ray.wait([reference], timeout=0)
        return bool(done)

    def _result(self, reference: Any) -> Any:
        """What an actor returned, or a sentence about its end."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return f"its Ray actor is gone: {_words(error)}"

    def _drop(self, name: str) -> None:
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._kept.pop(name).keeper)

    def _end_all(self) -> None:
        """Ask all, wait for all at once, and go."""
        stopping = [kept.keeper.stop.remote() for kept in self._kept.values()]
        if stopping:
            self._ray.wait(stopping, num_returns=len(stopping), timeout=STOP_S)
        self._ray.shutdown()


def _words(error: Exception) -> str:
    """Ray's errors are many lines long; the first ones say it."""
    return " ".join(str(error).split())[:400] or type(error).__name__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
