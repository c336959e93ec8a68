"""The verbs, for programs with an event loop. `blocking.py` has the same ones for those without.

A stream that is left early, closed, dropped or cancelled cancels its request on the server.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

import msgspec

from ..transport import messages as say
from ..transport.state import StateFolder, StateUnusable
from .answers import Answer, Chunk, Switched
from .connection import Connection
from .errors import BadInput, ClientClosed, Denied, Misunderstood
from .options import Options, check, promise_of, sampling_of
from .prompts import Files, Prompt, turns_of

if TYPE_CHECKING:
    from .prompts import Image
    from .reception import Reception

DEFAULT_ENDPOINT = "tcp://127.0.0.1:7700"


def endpoint_of(endpoint: str | None) -> str:
    return endpoint or os.environ.get("MODSERVE_CONTROLLER") or DEFAULT_ENDPOINT


class AsyncClient:
    """Belongs to the loop of its first verb. It connects then, or in `async with`."""

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        timeout_s: float = 10.0,
        keys: str | os.PathLike[str] | None = None,
    ) -> None:
        """`timeout_s` bounds the controller's silence; a request's own time is an option of it.
        `keys`: a file of `msctl keygen`, by default the one that MODSERVE_KEYS names."""
        self.endpoint = endpoint_of(endpoint)
        named = os.fspath(keys) if keys is not None else os.environ.get("MODSERVE_KEYS")
        self._keys = Path(named) if named else None
        self._timeout_s = timeout_s
        self._connection: Connection | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            await self.greeting()
            undo.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End what is open, on the server too."""
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            closed = ClientClosed(f"the client of {self.endpoint} was closed")
            connection.close(closed)

    async def greeting(self) -> say.Greeting:
        """What the controller says of itself: its model and limits."""
        return await self._connected().greeting()

    async def generate(
        self, prompt: Prompt | None = None, images: Sequence[Image] = (), **options: Unpack[Options]
    ) -> Answer:
        """The whole answer. Raises an error of errors.py; cancelled, it cancels the request."""
        async with self.stream(prompt, images, **options) as stream:
            return await stream.rest()

    def stream(
        self, prompt: Prompt | None = None, images: Sequence[Image] = (), **options: Unpack[Options]
    ) -> AsyncStream:
        """Send a request and read its answer in chunks. Files are read here and now."""
        submit, frames = submission(prompt, images, options)
        connection = self._connected()
        return AsyncStream(connection, connection.open(submit, frames))

    async def cancel(self, request_id: str) -> None:
        """End a request, whoever of this client's users waits for it; unknown ids are ignored."""
        connection = self._connected()
        await connection.greeting()
        connection.cancel(request_id)

    async def status(self) -> dict[str, Any]:
        """The controller's report, as `msctl status --json` prints it."""
        connection = self._connected()
        report = await connection.ask(say.AskStatus, self._timeout_s, "a report")
        if not isinstance(report, say.Report):
            raise Misunderstood(f"expected a Report, got {type(report).__name__}")
        return msgspec.json.decode(report.body, type=dict[str, Any])

    async def events(self, *, after: int = 0, since: float = 0.0) -> list[say.Event]:
        """What happened to the workers, and what was decided about them, the oldest first.

        Only events behind number `after`, and none before `since` (seconds of Unix time).
        """
        found: list[say.Event] = []
        while True:
            question = partial(say.AskEvents, after=after, since=since)
            word = await self._connected().ask(question, self._timeout_s, "events")
            if not isinstance(word, say.Events):
                raise Misunderstood(f"expected Events, got {type(word).__name__}")
            found += word.events
            if not word.events or word.events[-1].number >= word.newest:
                return found
            after = word.events[-1].number

    async def trace(self, request_id: str = "") -> dict[str, Any]:
        """The story of a request, as `msctl trace --json` prints it; by default of the one that
        ended last. Denied for one that is not known any more."""
        question = partial(say.AskTrace, request_id=request_id)
        report = await self._connected().ask(question, self._timeout_s, "a story")
        if not isinstance(report, say.Report):
            raise Misunderstood(f"expected a Report, got {type(report).__name__}")
        return msgspec.json.decode(report.body, type=dict[str, Any])

    async def tokens_of_text(self, text: str) -> list[int]:
        """A text as it is: special tokens spelled out in it stay text. Raises Denied: too long."""
        return await self._tokens(partial(say.AskTokens, text=text))

    async def tokens_of_chat(self, chat: Prompt) -> list[int]:
        """A prompt of texts alone in the model's template, up to where its answer begins."""
        turns = turns_of(chat, (), files := Files())
        if files.frames:
            raise BadInput("expected a chat of texts, got one with images")
        return await self._tokens(partial(say.AskTokens, turns=turns))

    async def pieces(self, token_ids: Sequence[int]) -> list[bytes]:
        """How each is spelled; a character may take several tokens. Raises Denied: no such."""
        question = partial(say.AskPieces, token_ids=tuple(token_ids))
        word = await self._connected().ask(question, self._timeout_s, "the spelling of tokens")
        if not isinstance(word, say.Pieces):
            raise Misunderstood(f"expected Pieces, got {type(word).__name__}")
        return list(word.pieces)

    async def scale(self, workers: Mapping[str, int]) -> say.Scaled:
        """Have so many workers of each of these roles. Returns at once with what will be done."""
        token, wanted = self._token(), dict(workers)
        word = await self._connected().ask(
            lambda ask: say.Scale(ask, token, wanted), self._timeout_s, "a plan"
        )
        if not isinstance(word, say.Scaled):
            raise Misunderstood(f"expected Scaled, got {type(word).__name__}")
        return word

    async def remove_worker(self, name: str, *, now: bool = False, timeout_s: float = 60.0) -> None:
        """Drain a worker, or stop it at once, and wait until it is gone."""
        token = self._token()
        await self._connected().ask(
            lambda ask: say.Remove(ask, token, name, now), timeout_s, f"{name} to be gone"
        )

    async def set_stages(
        self, name: str, stages: Sequence[str], *, timeout_s: float = 300.0
    ) -> Switched:
        """Have a worker serve other stages in the same process: it ends what it has first.
        Returns when it serves them; Denied, where it may not or left meanwhile."""
        token = self._token()
        answer = await self._connected().ask(
            lambda ask: say.SetStages(ask, token, name, tuple(stages)),
            timeout_s,
            f"{name} to serve {','.join(stages)}",
        )
        if not isinstance(answer, say.Switched):
            raise Misunderstood(f"expected a Switched, got {type(answer).__name__}")
        return Switched(answer.drain_s, answer.switch_s, answer.loaded_bytes)

    async def shutdown(
        self, *, drain: bool = False, keep: bool = False, timeout_s: float = 60.0
    ) -> None:
        """Stop the controller and its workers, after the open requests if `drain`.

        With `keep` the controller alone: the next one at its address goes on with its requests
        and its workers.
        """
        token = self._token()
        await self._connected().ask(
            lambda ask: say.Shutdown(ask, token, drain, keep),
            timeout_s,
            "the controller to stop",
        )

    async def _tokens(self, question: Callable[[int], say.AskTokens]) -> list[int]:
        word = await self._connected().ask(question, self._timeout_s, "tokens")
        if not isinstance(word, say.Tokens):
            raise Misunderstood(f"expected Tokens, got {type(word).__name__}")
        return list(word.token_ids)

    def _connected(self) -> Connection:
        if self._closed:
            raise ClientClosed(f"expected an open client of {self.endpoint}, got a closed one")
        if self._connection is None:
            self._connection = Connection(self.endpoint, self._timeout_s, self._keys)
        return self._connection

    def _token(self) -> str:
        folder = StateFolder.of(self.endpoint)
        try:
            token = folder.token()
        except StateUnusable as error:
            raise Denied(str(error)) from error
        if token is None:
            raise Denied(f"expected the token of {self.endpoint} in {folder.path}, got none there")
        return token


class AsyncStream:
    """The answer in chunks; after the last one `answer` has the whole."""

    def __init__(self, connection: Connection, reception: Reception) -> None:
        self._connection = connection
        self._reception = reception

    @property
    def request_id(self) -> str:
        return self._reception.request_id

    @property
    def answer(self) -> Answer:
        """Everything, with usage and timing; a RuntimeError before the stream has ended well."""
        return self._reception.answer()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        """Cancelled, as by a timeout around it, it ends the stream."""
        try:
            chunk = await self._reception.chunk()
        except asyncio.CancelledError:
            self.leave()
            raise
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def rest(self) -> Answer:
        """Wait for the end without reading chunk by chunk."""
        try:
            await self._reception.ended()
        except asyncio.CancelledError:
            self.leave()
            raise
        return self._reception.answer()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.leave()

    async def aclose(self) -> None:
        self.leave()

    def leave(self) -> None:
        """Hear no more; the request is cancelled where it still runs."""
        self._connection.leave(self._reception)

    def __del__(self) -> None:
        # `break` out of a loop over a stream that nobody else holds: this is all we hear of it
        self._connection.abandon(self._reception)


def submission(
    prompt: Prompt | None, images: Sequence[Image], options: Options
) -> tuple[say.Submit, list[bytes | memoryview]]:
    """A request as it travels, and its image files; raises BadInput."""
    check(options)
    token_ids = options.get("token_ids")
    if (prompt is None) == (token_ids is None):
        given = "neither" if prompt is None else "both"
        raise BadInput(f"expected either a prompt or token_ids, got {given}")
    files = Files()
    if prompt is not None:
        turns = turns_of(prompt, images, files)
    else:
        turns = ()
        for image in images:
            files.part(image)
    submit = say.Submit(
        request_id=options.get("request_id") or secrets.token_hex(8),
        sampling=sampling_of(options),
        turns=turns,
        token_ids=tuple(token_ids or ()),
        timeout_s=options.get("timeout_s"),
        **promise_of(options),
    )
    return submit, files.frames
