"""One HTTP request and its response: bounded reading, events, and an asker who may leave."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from functools import cached_property
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from .errors import Problem
from .options import Limits

JSON = b"application/json"
EVENTS = b"text/event-stream; charset=utf-8"


class Gone(Exception):
    """Whoever asked has left; there is nobody to tell."""


class Exchange:
    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._limits = limits
        self.status = 0  # 0: the response has not begun
        self.holder = "-"  # of the API key, as logs call it
        self._over = False

    @cached_property
    def headers(self) -> Headers:
        return Headers(scope=self._scope)

    def path_parameter(self, name: str) -> str:
        """What stands in the path at a route's {name}."""
        return str(self._scope["path_params"][name])

    async def body(self) -> bytes:
        """All of it; raises Problem for one that is too large, too slow or no JSON, or Gone."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != JSON.decode():  # a page elsewhere cannot have a browser send this unasked
            sentence = f"expected content-type application/json, got {kind[:60] or 'none'}"
            raise Problem(415, sentence, code="unsupported_media_type")
        told = self.headers.get("content-length", "")
        if told.isdecimal() and int(told) > self._limits.body_bytes:
            raise self._too_large(int(told))
        try:
            async with asyncio.timeout(self._limits.body_s):
                return await self._read()
        except TimeoutError:
            sentence = f"expected the whole body within {self._limits.body_s:g} s"
            raise Problem(408, sentence, code="timeout") from None

    async def _read(self) -> bytes:
        pieces, size, more = [], 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self._limits.body_bytes:
                raise self._too_large(size)
            more = message.get("more_body", False)
        return b"".join(pieces)

    def _too_large(self, size: int) -> Problem:
        most = self._limits.body_bytes
        sentence = f"expected a body of at most {most} bytes, got {size}"
        return Problem(413, sentence, code="too_large")

    async def while_here(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work`; raises Gone, having cancelled it, when the asker leaves before its end."""
        doing = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self._left())
        try:
            await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not (doing.done() or self._over):  # the end of a response ends `_left` too
                raise Gone
            await asyncio.wait((doing,))
        finally:
            leaving.cancel()
            doing.cancel()
            await asyncio.wait((doing, leaving))
        doing.result()

    async def _left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    # Answering.

    async def respond(
        self,
        status: int,
        body: bytes,
        headers: Iterable[tuple[bytes, bytes]] = (),
        kind: bytes = JSON,
    ) -> None:
        """All at once; `kind`: of the body."""
        sized = (b"content-length", str(len(body)).encode())
        await self._begin(status, [(b"content-type", kind), sized, *headers])
        await self._tell({"type": "http.response.body", "body": body, "more_body": False})

    async def refuse(self, problem: Problem) -> None:
        """As the response; where that has begun, as its last event."""
        if not self.status:
            await self.respond(problem.status, problem.body, problem.headers)
            return
        await self.event(problem.body)
        await self.end()

    async def begin_events(self, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        told = [(b"content-type", EVENTS), (b"cache-control", b"no-cache"), *headers]
        await self._begin(200, [*told, (b"x-accel-buffering", b"no")])

    async def event(self, *data: bytes) -> None:
        """One server-sent event each, in one piece."""
        body = b"".join(b"data: %b\n\n" % one for one in data)
        await self._tell({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self) -> None:
        await self._tell({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        await self._tell({"type": "http.response.start", "status": status, "headers": headers})

    async def _tell(self, message: dict[str, Any]) -> None:
        """Waits for a reader that is behind, but not for ever; raises Gone."""
        self._over = not message.get("more_body", True)
        try:
            async with asyncio.timeout(self._limits.stalled_s):
                await self._send(message)
        except (TimeoutError, OSError) as error:
            raise Gone from error
