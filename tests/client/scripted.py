"""A controller that says what a test tells it to: real messages over a real socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import zmq

from modserve.transport import codec
from modserve.transport import messages as say
from modserve.transport.channels import Router

GREETING = say.Greeting(
    model="seven",
    fingerprint="f" * 64,
    context=4096,
    max_images=8,
    max_image_bytes=1 << 20,
    vocabulary=1000,
)
TIMING = say.Timing(
    ttft_s=0.1,
    total_s=1.0,
    prepare_s=0.01,
    encode_s=0.2,
    queue_s=0.05,
    prefill_s=0.24,
    transfer_s=0.0,
    decode_s=0.5,
    runs=1,
)
DEADLINE_S = 10.0

Script = Callable[["Scripted", bytes, say.FromClient, list[bytes]], None]


class Scripted:
    """Runs in a thread of its own; `heard` and `wait_for` may be used from the test's."""

    def __init__(self, script: Script, endpoint: str = "tcp://127.0.0.1:0") -> None:
        self.script = script
        self.heard: list[say.FromClient] = []
        self._changed = threading.Condition()
        self._started = threading.Event()
        self._bound = endpoint
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._started.wait(DEADLINE_S)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._router = Router(self._bound, self._hear, max_frame_bytes=1 << 22)
        self.endpoint = self._router.endpoint
        self._started.set()
        await self._stop.wait()
        self._router.close(0.2)

    def _hear(self, identity: bytes, frames: list[zmq.Frame]) -> None:
        bodies = [frame.bytes for frame in frames]
        word = codec.to_controller(bodies[0])
        with self._changed:  # before anybody sees an answer
            self.heard.append(word)  # type: ignore[arg-type]
            self._changed.notify_all()
        self.script(self, identity, word, bodies[1:])  # type: ignore[arg-type]

    def say(self, identity: bytes, *words: say.ToClient) -> None:
        for word in words:
            self._router.send(identity, codec.encode(word))

    def say_bytes(self, identity: bytes, body: bytes) -> None:
        self._router.send(identity, body)

    def wait_for(self, kind: type, count: int = 1) -> None:
        """Until `count` words of that kind were heard."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.count(kind) >= count, DEADLINE_S), (
                f"expected {count} {kind.__name__}, heard {self.heard}"
            )

    def count(self, kind: type) -> int:
        return sum(isinstance(word, kind) for word in self.heard)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE_S)


@contextmanager
def scripted(script: Script, endpoint: str = "tcp://127.0.0.1:0") -> Iterator[Scripted]:
    controller = Scripted(script, endpoint)
    try:
        yield controller
    finally:
        controller.close()


def ended(
    request_id: str, tokens: int, reason: str = "stop", error: str | None = None
) -> say.Ended:
    return say.Ended(request_id, reason, say.Usage(5, 0, tokens), TIMING, error)


def deltas(request_id: str, start: int, token_ids: list[int], text: str) -> say.Deltas:
    return say.Deltas((say.Delta(request_id, start, tuple(token_ids), text),))


def greeting_then(answer: Callable[[Scripted, bytes, say.Submit], None]) -> Script:
    """Greets; answers each Submit with `answer`, each Cancel with a last word."""

    def script(
        controller: Scripted, identity: bytes, word: say.FromClient, frames: list[bytes]
    ) -> None:
        match word:
            case say.Greet():
                controller.say(identity, GREETING)
            case say.Submit():
                answer(controller, identity, word)
            case say.Cancel():
                controller.say(identity, ended(word.request_id, 0, "cancelled"))
            case say.AskStatus():
                controller.say(identity, say.Report(word.ask, b'{"workers": []}'))

    return script


def hello_world(controller: Scripted, identity: bytes, word: say.Submit) -> None:
    controller.say(
        identity,
        deltas(word.request_id, 0, [7, 8], "Hello"),
        deltas(word.request_id, 2, [9], " world"),
        ended(word.request_id, 3),
    )


def silence(controller: Scripted, identity: bytes, word: say.Submit) -> None:
    """Takes the request and says nothing more."""
