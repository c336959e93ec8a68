"""Networks that misbehave, between real processes: proxies on loopback that the tests command.

A `Wire` passes bytes on, late, not at all one way, or until a connection breaks in mid-message.
`Words` pass whole messages on: an `Echo` half of them twice, a `Tap` strikes when one comes by.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import zmq

from modserve.transport import codec
from modserve.transport import messages as say

Result = TypeVar("Result")
CHUNK = 1 << 16
UP, DOWN = "up", "down"  # to the controller, and from it


class Wire:
    """A TCP proxy in a thread; what is set holds from the next chunk on."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target = (host, int(port))
        self.delay_s = 0.0
        self._open = {UP: asyncio.Event(), DOWN: asyncio.Event()}
        self._break = {UP: False, DOWN: False}
        self.broken = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.heal()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def cut(self, *ways: str) -> None:
        """Bytes of these ways wait until `heal`, as TCP would have them."""
        for way in ways:
            self._loop.call_soon_threadsafe(self._open[way].clear)

    def heal(self) -> None:
        self.delay_s = 0.0
        for event in self._open.values():
            self._loop.call_soon_threadsafe(event.set)

    def break_next(self, way: str) -> None:
        """The next chunk gets half way, then the connection is reset."""
        self._break[way] = True

    def close(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = (writer, far_writer)
        try:
            await asyncio.gather(
                self._pass(reader, far_writer, UP, ends), self._pass(far_reader, writer, DOWN, ends)
            )
        finally:
            for end in ends:
                end.transport.abort()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        way: str,
        ends: tuple[asyncio.StreamWriter, ...],
    ) -> None:
        """Two tasks, so that a delay is a delay and not a lower rate."""
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.ensure_future(self._deliver(chunks, writer, way, ends))
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                chunks.put_nowait((self._loop.time() + self.delay_s, chunk))
        chunks.put_nowait((self._loop.time(), b""))
        await delivering

    async def _deliver(
        self,
        chunks: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
        way: str,
        ends: tuple[asyncio.StreamWriter, ...],
    ) -> None:
        with suppress(OSError):
            while True:
                due, chunk = await chunks.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                await self._open[way].wait()
                if not chunk:
                    break
                if self._break[way]:
                    self._break[way] = False
                    self.broken += 1
                    writer.write(chunk[: len(chunk) // 2])
                    await writer.drain()
                    break
                writer.write(chunk)
                await writer.drain()
        for end in ends:
            end.transport.abort()


class Words:
    """A ZeroMQ proxy in a thread: peers keep their identities, and `times` decides of each word."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.ROUTER_HANDOVER, 1)
        port = self._router.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self._far: dict[bytes, zmq.Socket[bytes]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def times(self, way: str, identity: bytes, frames: list[bytes]) -> int:
        """How often a word of or to that peer is passed on."""
        return 1

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        while not self._over.is_set():
            for socket, _ in poller.poll(100):
                if socket is self._router:
                    identity, *frames = socket.recv_multipart()
                    for _ in range(self.times(UP, identity, frames)):
                        self._dealer(identity, poller).send_multipart(frames)
                else:
                    frames = socket.recv_multipart()
                    identity = socket.getsockopt(zmq.IDENTITY)
                    for _ in range(self.times(DOWN, identity, frames)):
                        self._router.send_multipart([identity, *frames])
        for socket in (*self._far.values(), self._router):
            socket.close(linger=0)
        self._context.term()

    def _dealer(self, identity: bytes, poller: zmq.Poller) -> zmq.Socket[bytes]:
        if identity not in self._far:
            socket = self._far[identity] = self._context.socket(zmq.DEALER)
            socket.setsockopt(zmq.IDENTITY, identity)
            socket.connect(self._target)
            poller.register(socket, zmq.POLLIN)
        return self._far[identity]

    def close(self) -> None:
        self._over.set()
        self._thread.join(10)


class Echo(Words):
    """Half of all words come twice."""

    def __init__(self, target: str) -> None:
        self._rng = random.Random(0)
        self.twice = 0
        super().__init__(target)

    def times(self, way: str, identity: bytes, frames: list[bytes]) -> int:
        again = self._rng.random() < 0.5
        self.twice += again
        return 1 + again


class Tap(Words):
    """Strikes a worker at the moment when a word of it, or to it, passes."""

    def __init__(self, target: str) -> None:
        self._names: dict[bytes, str] = {}
        self._wanted: tuple[str, str, str] | None = None
        self._left = 0
        self._strike: Callable[[str], object] = lambda name: None
        self.struck: str | None = None  # the worker's name
        super().__init__(target)

    def at(
        self, way: str, word: str, stage: str, number: int, strike: Callable[[str], object]
    ) -> None:
        """`strike` is told the name of the worker, in the midst of the `number`-th such word."""
        self.struck, self._strike, self._left = None, strike, number
        self._wanted = (way, word, stage)

    def times(self, way: str, identity: bytes, frames: list[bytes]) -> int:
        words = (codec.to_controller(frames[0]),) if way == UP else codec.to_worker(frames[0])
        for word in words:
            self._look(way, identity, word)
        return 1

    def _look(self, way: str, identity: bytes, word: object) -> None:
        if isinstance(word, say.Welcome):
            self._names[identity] = word.name
        name = self._names.get(identity, "")
        if self._wanted in [(way, label, name.partition("-")[0]) for label in _labels(word)]:
            self._left -= 1
            if self._left == 0:
                self._wanted, self.struck = None, name
                self._strike(name)


def _labels(word: object) -> Iterator[str]:
    yield type(word).__name__
    match word:
        case say.Relay(body=body):
            yield f"Relay {type(codec.between_ports(body)).__name__}"
        case say.Stepped(rows=rows) if any(row.prefilled for row in rows):
            yield "Stepped prefilled"
        case say.KvTaken(last=True):
            yield "KvTaken last"


@contextmanager
def wires(target: str, count: int) -> Iterator[list[Wire]]:
    made = [Wire(target) for _ in range(count)]
    try:
        yield made
    finally:
        for wire in made:
            wire.close()


@contextmanager
def echo(target: str) -> Iterator[Echo]:
    made = Echo(target)
    try:
        yield made
    finally:
        made.close()
