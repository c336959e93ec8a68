"""The other port of a conformance test: in this process, or in one of its own."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Protocol

import msgspec

from modserve.transport import tensors
from modserve.transport.gloo import GlooPort
from modserve.transport.loopback import Loopback, LoopbackPort
from modserve.transport.messages import TensorHandle
from modserve.transport.tensors import TensorPort, TransferError

from .peer_process import (
    Count,
    Counted,
    Digest,
    Done,
    Failed,
    Falter,
    Faltered,
    Fetch,
    Landed,
    Lose,
    Offer,
    Offered,
    Relay,
    Release,
    Said,
    Spec,
    Told,
    digest,
    framed,
    heard,
    make,
)


class Peer(Protocol):
    name: str

    async def offer(self, *specs: Spec) -> TensorHandle: ...
    async def fetch(self, handle: TensorHandle, deadline_s: float = 30.0) -> list[Digest]: ...
    async def release(self, handle: TensorHandle) -> None: ...


class Pair:
    """`here` is a port of the test's own process."""

    def __init__(self, here: TensorPort, there: Peer) -> None:
        self.here = here
        self.there = there


class LocalPeer:
    def __init__(self, port: TensorPort) -> None:
        self.name = port.name
        self.port = port

    async def offer(self, *specs: Spec) -> TensorHandle:
        return self.port.offer([make(spec) for spec in specs])

    async def fetch(self, handle: TensorHandle, deadline_s: float = 30.0) -> list[Digest]:
        return [digest(each) for each in await self.port.fetch(handle, deadline_s=deadline_s)]

    async def release(self, handle: TensorHandle) -> None:
        self.port.release(handle)


class RemotePeer:
    """A child process; its port's words are relayed to and from `deliver(peer name, body)`."""

    def __init__(self, name: str, deliver: Callable[[str, bytes], None]) -> None:
        self.name = name
        self.faltered: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._deliver = deliver
        self._calls = count(1)
        self._answers: dict[int, asyncio.Future[Said]] = {}

    async def start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__).with_name("peer_process.py")),
                self.name,
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        self._answers[0] = asyncio.get_running_loop().create_future()
        self._listening = asyncio.create_task(self._listen())
        async with asyncio.timeout(60):
            await self._answers[0]

    async def stop(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        self._listening.cancel()
        with suppress(asyncio.CancelledError):
            await self._listening
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    def relay(self, peer: str, body: bytes) -> None:
        """A word of `peer`'s port; lost, as on the control channel, when the process is."""
        if not self._writer.is_closing():
            self._writer.write(framed(Relay(peer=peer, body=body)))

    async def offer(self, *specs: Spec) -> TensorHandle:
        answer = await self._ask(lambda call: Offer(call, specs=specs))
        assert isinstance(answer, Offered)
        return answer.handle

    async def fetch(self, handle: TensorHandle, deadline_s: float = 30.0) -> list[Digest]:
        answer = await self._ask(lambda call: Fetch(call, handle=handle, deadline_s=deadline_s))
        if isinstance(answer, Failed):
            kind: type[TransferError] = getattr(tensors, answer.error)
            raise kind(answer.detail)
        assert isinstance(answer, Landed)
        return list(answer.digests)

    async def release(self, handle: TensorHandle) -> None:
        assert isinstance(await self._ask(lambda call: Release(call, handle=handle)), Done)

    async def lose(self, peer: str) -> None:
        assert isinstance(await self._ask(lambda call: Lose(call, peer=peer)), Done)

    async def falter(self, number: signal.Signals, messages: int) -> None:
        """It will kill or stop itself when it has posted that many more; see `faltered`."""
        asked = self._ask(lambda call: Falter(call, messages=messages, signal=number))
        assert isinstance(await asked, Done)

    async def count(self) -> Counted:
        answer = await self._ask(Count)
        assert isinstance(answer, Counted)
        return msgspec.structs.replace(answer, call=0)

    async def _ask(self, question: Callable[[int], Told]) -> Said:
        call = next(self._calls)
        answer = self._answers[call] = asyncio.get_running_loop().create_future()
        self._writer.write(framed(question(call)))
        async with asyncio.timeout(60):
            said: Said = await answer
            return said

    async def _listen(self) -> None:
        decoder = msgspec.msgpack.Decoder(Said)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                match await heard(self._reader, decoder):
                    case Relay(body=body):
                        self._deliver(self.name, body)
                    case Faltered(at=at):
                        self.faltered.set_result(at)
                    case answer:
                        self._answers.pop(answer.call).set_result(answer)
        for waiting in self._answers.values():
            waiting.cancel("the process is gone")


class Exchange:
    """The control channel of one test: ports and processes by name."""

    def __init__(self) -> None:
        self.ports: dict[str, GlooPort] = {}
        self.processes: dict[str, RemotePeer] = {}
        self.loop = asyncio.get_running_loop()
        self.broken = False  # drops every word
        self.tap: Callable[[str, bytes], None] = lambda target, body: None  # sees every word

    def sender(self, name: str) -> Callable[[str, bytes], None]:
        """What the port of that name sends with."""
        return lambda peer, body: self.route(name, peer, body)

    def route(self, source: str, target: str, body: bytes) -> None:
        if self.broken:
            return
        self.tap(target, body)
        if target in self.processes:
            self.processes[target].relay(source, body)
        elif target in self.ports:
            # Not at once: a port is not to be called from inside its own call.
            self.loop.call_soon(self.ports[target].receive, source, body)

    def port(self, name: str, **settings: object) -> GlooPort:
        port = GlooPort(name, self.sender(name), **settings)  # type: ignore[arg-type]
        self.ports[name] = port
        return port

    async def process(self, name: str) -> RemotePeer:
        """One of that name before must have been stopped."""
        peer = RemotePeer(name, lambda source, body: self.ports["here"].receive(source, body))
        await peer.start()
        self.processes[name] = peer
        return peer

    async def close(self) -> None:
        for port in self.ports.values():
            await port.close()
        for peer in self.processes.values():
            await peer.stop()


@asynccontextmanager
async def exchange() -> AsyncIterator[Exchange]:
    made = Exchange()
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def loopback() -> AsyncIterator[Pair]:
    air = Loopback()
    here, there = (LoopbackPort(name, air) for name in ("here", "there"))
    yield Pair(here, LocalPeer(there))
    await here.close()
    await there.close()


@asynccontextmanager
async def gloo_in_one_process() -> AsyncIterator[Pair]:
    async with exchange() as made:
        yield Pair(made.port("here"), LocalPeer(made.port("there")))


@asynccontextmanager
async def gloo_between_processes() -> AsyncIterator[Pair]:
    async with exchange() as made:
        yield Pair(made.port("here"), await made.process("there"))


@asynccontextmanager
async def gloo_with_checksums() -> AsyncIterator[Pair]:
    async with exchange() as made:
        ports = [made.port(name, checksum=True) for name in ("here", "there")]
        yield Pair(ports[0], LocalPeer(ports[1]))


IMPLEMENTATIONS = {
    made.__name__: made
    for made in (loopback, gloo_in_one_process, gloo_with_checksums, gloo_between_processes)
}

Scenario = Callable[[Pair], Awaitable[None]]
