"""The verbs of `AsyncClient` for programs without an event loop: a thread of ours has one.

Nothing is decided here. A call runs its coroutine there and waits; an interrupted call (ctrl-C)
cancels it, which cancels the request on the server.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from ..transport.messages import Event, Greeting, Scaled
from .answers import Answer, Chunk, Switched
from .asynchronous import AsyncClient, AsyncStream
from .errors import ClientClosed
from .options import Options
from .prompts import Prompt

if TYPE_CHECKING:
    from .prompts import Image

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="modserve", daemon=True)
        self._thread.start()

    def run(self, verb: Coroutine[Any, Any, T]) -> T:
        """Run `verb` there and wait for it; interrupted, cancel it."""
        if self._loop.is_closed():
            verb.close()
            raise ClientClosed("expected an open client, got a closed one")
        future = asyncio.run_coroutine_threadsafe(verb, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Client:
    """May be used from several threads at once."""

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        timeout_s: float = 10.0,
        keys: str | os.PathLike[str] | None = None,
    ) -> None:
        """`timeout_s` bounds the controller's silence; a request's own time is an option of it.
        `keys`: a file of `msctl keygen`, by default the one that MODSERVE_KEYS names."""
        self._client = AsyncClient(endpoint, timeout_s=timeout_s, keys=keys)
        self._thread = LoopThread()
        self._end = weakref.finalize(self, _end, self._client, self._thread)

    @property
    def endpoint(self) -> str:
        return self._client.endpoint

    @property
    def closed(self) -> bool:
        return not self._end.alive

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self.close)
            self.greeting()
            undo.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End what is open, on the server too. The end of the program does so as well."""
        self._end()

    def greeting(self) -> Greeting:
        return self._thread.run(self._client.greeting())

    def generate(
        self, prompt: Prompt | None = None, images: Sequence[Image] = (), **options: Unpack[Options]
    ) -> Answer:
        return self._thread.run(self._client.generate(prompt, images, **options))

    def stream(
        self, prompt: Prompt | None = None, images: Sequence[Image] = (), **options: Unpack[Options]
    ) -> Stream:
        async def begin() -> AsyncStream:
            return self._client.stream(prompt, images, **options)

        return Stream(self, self._thread, self._thread.run(begin()))

    def cancel(self, request_id: str) -> None:
        self._thread.run(self._client.cancel(request_id))

    def status(self) -> dict[str, Any]:
        return self._thread.run(self._client.status())

    def events(self, *, after: int = 0, since: float = 0.0) -> list[Event]:
        return self._thread.run(self._client.events(after=after, since=since))

    def trace(self, request_id: str = "") -> dict[str, Any]:
        return self._thread.run(self._client.trace(request_id))

    def tokens_of_text(self, text: str) -> list[int]:
        return self._thread.run(self._client.tokens_of_text(text))

    def tokens_of_chat(self, chat: Prompt) -> list[int]:
        return self._thread.run(self._client.tokens_of_chat(chat))

    def pieces(self, token_ids: Sequence[int]) -> list[bytes]:
        return self._thread.run(self._client.pieces(token_ids))

    def scale(self, workers: Mapping[str, int]) -> Scaled:
        return self._thread.run(self._client.scale(workers))

    def remove_worker(self, name: str, *, now: bool = False, timeout_s: float = 60.0) -> None:
        self._thread.run(self._client.remove_worker(name, now=now, timeout_s=timeout_s))

    def set_stages(self, name: str, stages: Sequence[str], *, timeout_s: float = 300.0) -> Switched:
        return self._thread.run(self._client.set_stages(name, stages, timeout_s=timeout_s))

    def shutdown(self, *, drain: bool = False, keep: bool = False, timeout_s: float = 60.0) -> None:
        self._thread.run(self._client.shutdown(drain=drain, keep=keep, timeout_s=timeout_s))


class Stream:
    """The answer in chunks; after the last one `answer` has the whole."""

    def __init__(self, client: Client, thread: LoopThread, stream: AsyncStream) -> None:
        self._client = client  # kept alive by its streams
        self._thread = thread
        self._stream = stream

    @property
    def request_id(self) -> str:
        return self._stream.request_id

    @property
    def answer(self) -> Answer:
        return self._stream.answer

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        try:
            return self._thread.run(self._stream.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def rest(self) -> Answer:
        """Wait for the end without reading chunk by chunk."""
        return self._thread.run(self._stream.rest())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Hear no more; the request is cancelled where it still runs."""
        if not self._client.closed:
            self._thread.run(self._stream.aclose())


def _end(client: AsyncClient, thread: LoopThread) -> None:
    thread.run(client.close())
    thread.end()
