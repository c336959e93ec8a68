"""A real controller on real sockets, with workers and clients that say what a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

import zmq

import modserve.tiny
from modserve.controller.controller import Controller
from modserve.controller.launching.launcher import Launcher
from modserve.controller.options import ControllerOptions, Limits
from modserve.transport import codec
from modserve.transport import messages as say
from modserve.transport.channels import Dealer
from modserve.transport.checkpoint import fingerprint

MODEL = Path(modserve.tiny.__file__).parent / "checkpoint"
TOKEN = "token of the test"
PICTURE = (MODEL.parents[1] / "examples" / "seven.png").read_bytes()
DEADLINE_S = 20.0

Word = TypeVar("Word")
Kind = TypeVar("Kind")


class Peer(Generic[Word]):
    """One end of a conversation: every word that came, and waiting for the next of a kind."""

    def __init__(
        self, endpoint: str, decode: Callable[[bytes], Sequence[Word]], *, queue: int = 100_000
    ) -> None:
        self._decode = decode
        self.words: list[Word] = []
        self.frames: list[list[bytes]] = []
        self._news = asyncio.Event()
        self.dealer = Dealer(endpoint, self._hear, queue=queue)

    def _hear(self, frames: list[zmq.Frame]) -> None:
        for word in self._decode(frames[0].bytes):
            self.words.append(word)
            self.frames.append([frame.bytes for frame in frames[1:]])
        self._news.set()

    def say(self, word: say.ToController, *frames: bytes) -> None:
        self.dealer.send(codec.encode(word), *frames)

    async def hear(self, kind: type[Kind], count: int = 1) -> Kind:
        """The `count`-th word of that kind since the start, once it has come."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                found = [word for word in self.words if isinstance(word, kind)]
                if len(found) >= count:
                    return found[count - 1]
                self._news.clear()
                await self._news.wait()

    def heard(self, kind: type) -> int:
        return sum(isinstance(word, kind) for word in self.words)


class Worker(Peer[say.ToWorker]):
    """Says what a real one says, computes nothing."""

    def __init__(self, endpoint: str, *stages: str, name: str = "", epoch: int = 1) -> None:
        super().__init__(endpoint, codec.to_worker)
        self.hello = say.Hello(
            protocol=say.PROTOCOL,
            token=TOKEN,
            epoch=epoch,
            name=name,
            stages=stages,
            host="here",
            pid=epoch,
            device="cpu",
            dtype="auto",
            cores=4,
            threads=1,
            log="",
        )

    async def join(self, kv_blocks: int = 100) -> say.Welcome:
        self.say(self.hello)
        welcome = await self.hear(say.Welcome)
        self.say(self.ready(kv_blocks))
        return welcome

    def ready(self, kv_blocks: int = 100, *held: say.Held) -> say.Ready:
        return say.Ready(
            fingerprint=fingerprint(MODEL, "any", 16),
            dtype="float32",
            kv_blocks=kv_blocks,
            store_bytes=2**24,
            staging_bytes=2**24,
            held=held,
        )

    def step(
        self, task: say.Prefill | say.Decode, emitted: int, token: int = 7, finish: str = ""
    ) -> None:
        """Report token number `emitted` of a request; the first one also ends its prefill."""
        row = say.Row(task.request_id, task.run, emitted, emitted == 1, finish)
        delta = say.Delta(task.request_id, emitted - 1, (token,), f"<{token}>")
        frame = codec.encode(say.Deltas((delta,)))
        self.say(say.Stepped((row,), (task.client,)), frame)


class Client(Peer[say.ToClient]):
    def __init__(self, endpoint: str, *, queue: int = 100_000) -> None:
        super().__init__(endpoint, codec.to_client, queue=queue)

    def submit(self, request_id: str, text: str = "Hello", *images: bytes, **more: object) -> None:
        parts: tuple[say.TextPart | say.ImagePart, ...]
        parts = (*(say.ImagePart(i) for i in range(len(images))), say.TextPart(text))
        sampling = say.Sampling(**more)  # type: ignore[arg-type]
        word = say.Submit(request_id, sampling, turns=(say.Turn("user", parts),))
        self.say(word, *images)


class Scene:
    """A controller, and the peers that talk to it."""

    def __init__(
        self,
        options: ControllerOptions,
        journal: Path | None,
        launcher: Callable[[], Launcher] | None,
    ) -> None:
        self._options, self._journal, self._launcher = options, journal, launcher
        self._peers: list[Client | Worker] = []
        self._begin()

    def _begin(self) -> None:
        self._controller = Controller(self._options, self._launcher)
        self._controller.trust(TOKEN)
        if self._journal is not None:
            self._controller.remember(self._journal)
        self._serving = asyncio.create_task(self._controller.run())
        self.endpoint = self._controller.endpoint

    async def succeed(self) -> None:
        """The controller ends without a word to anybody; another takes its place."""
        self._controller.close(keep=True)
        await self._serving
        self._options = replace(self._options, endpoint=self.endpoint)
        self._begin()

    def tell(self, **options: object) -> None:
        """Other options for the controller that follows."""
        self._options = replace(self._options, **options)  # type: ignore[arg-type]

    async def close(self) -> None:
        self._controller.close()
        await self._serving

    def worker(self, *stages: str, name: str = "", epoch: int = 1) -> Worker:
        worker = Worker(self.endpoint, *stages, name=name, epoch=epoch)
        self._peers.append(worker)
        return worker

    def client(self, *, queue: int = 100_000) -> Client:
        client = Client(self.endpoint, queue=queue)
        self._peers.append(client)
        return client

    def end(self) -> None:
        """Also after a test that failed: an open socket would fail another one."""
        for peer in self._peers:
            if isinstance(peer, Worker):
                peer.say(say.Bye())
            peer.dealer.close()
        self._peers.clear()


@asynccontextmanager
async def controller(
    limits: Limits | None = None,
    journal: Path | None = None,
    launcher: Callable[[], Launcher] | None = None,
    **options: object,
) -> AsyncIterator[Scene]:
    """Peers and controller have ended, in this order, when the test is over."""
    told = replace(
        ControllerOptions(
            MODEL, "tcp://127.0.0.1:0", limits=limits or Limits(), late_s=60.0, lost_s=60.0
        ),  # nobody sends heartbeats
        **options,  # type: ignore[arg-type]
    )
    scene = Scene(told, journal, launcher)
    try:
        yield scene
    finally:
        scene.end()
        await scene.close()


Told = ParamSpec("Told")


def conversation(
    test: Callable[Told, Coroutine[Any, Any, None]],
) -> Callable[Told, None]:
    """An asynchronous test, with a deadline."""

    @wraps(test)
    def bounded(*args: Told.args, **kwargs: Told.kwargs) -> None:
        async def within() -> None:
            async with asyncio.timeout(3 * DEADLINE_S):
                await test(*args, **kwargs)

        asyncio.run(within())

    return bounded


def handle(owner: str, size: int = 64) -> say.TensorHandle:
    return say.TensorHandle(owner, 1, 5, (say.Part((size,), "uint8", size),))
