"""Whom a load is sent to: what every endpoint does, and the one for our own controller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ...transport.messages import Usage
from ..asynchronous import AsyncClient
from ..errors import ModserveError
from .asks import Ask

Hear = Callable[[int], None]


class AskFailed(Exception):
    """The request was refused, or did not end well; one sentence."""


class Endpoint(Protocol):
    async def send(self, ask: Ask, hear: Hear) -> Usage | None:
        """Send it, and call `hear` with the number of new tokens whenever some have come.

        Returns at the end of the answer, with the server's own count of tokens if it gave one.
        Raises AskFailed; cancelled, it ends the request.
        """
        ...


class ModserveEndpoint:
    def __init__(self, client: AsyncClient, *, ignore_eos: bool) -> None:
        self._client = client
        self._ignore_eos = ignore_eos

    async def send(self, ask: Ask, hear: Hear) -> Usage | None:
        try:
            async with self._client.stream(
                ask.prompt,
                ask.images,
                max_tokens=ask.output_tokens,
                ignore_eos=self._ignore_eos,
            ) as stream:
                async for chunk in stream:
                    if chunk.token_ids:
                        hear(len(chunk.token_ids))
                return stream.answer.usage
        except ModserveError as error:
            raise AskFailed(str(error)) from error
