"""HTTP servers on loopback that answer as they are told, and names that lead there."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

from modserve.client.media.addresses import Address

TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nobody; loading the system's takes long
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"  # until the connection ends
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Server:
    """What it was asked, and what it answers."""

    answers: dict[str, bytes | Answer] = field(default_factory=dict)  # by path
    port: int = 0
    met: int = 0  # connections
    asked: list[str] = field(default_factory=list)  # heads of requests
    greeting: bytes = b""  # said to everybody who connects
    heard: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))  # a request
    ended: asyncio.Event = field(default_factory=asyncio.Event)  # a connection has

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        writer.write(self.greeting)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._speak(reader, writer)
        self.ended.set()
        writer.close()

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head)
        self.heard.release()
        answer = self.answers.get(head.split()[1], b"")
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
        else:
            await answer(writer)


@asynccontextmanager
async def serving(
    answers: dict[str, bytes | Answer] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Server]:
    server = Server(answers or {})
    meetings: list[asyncio.Task[None]] = []
    transports: list[asyncio.WriteTransport] = []

    def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        meetings.append(asyncio.ensure_future(server.meet(reader, writer)))
        transports.append(writer.transport)

    listening = await asyncio.start_server(met, host, port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in meetings:
            task.cancel()
        await asyncio.gather(*meetings, return_exceptions=True)
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0)  # what was aborted is closed in the loop's next turn


def ok(body: bytes, *heads: str, kind: str = "image/png", length: int | None = None) -> bytes:
    lines = ("HTTP/1.1 200 OK", f"Content-Type: {kind}", *heads)
    told = f"Content-Length: {len(body) if length is None else length}"
    return "\r\n".join((*lines, told, "", "")).encode() + body


def moved(to: str, status: int = 302) -> bytes:
    head = f"HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
    return head.encode("latin-1")


def without_end(first: bytes, again: bytes, pause_s: float = 0.0) -> Answer:
    """Until the other side is gone."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while not writer.is_closing():
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return answer


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


class Names:
    """A resolver that gives the next answer each time, and the last one from then on."""

    def __init__(self, **answers: Sequence[str]) -> None:
        """By name, dots as underscores: addresses, several of one answer with spaces between."""
        self._answers = {
            name.replace("_", "."): [[ip_address(one) for one in text.split()] for text in texts]
            for name, texts in answers.items()
        }
        self.asked: list[str] = []

    async def resolve(self, host: str) -> Sequence[Address]:
        self.asked.append(host)
        if host not in self._answers:
            raise OSError(f"no address for {host}")
        answers = self._answers[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def close(self) -> None:
        pass
