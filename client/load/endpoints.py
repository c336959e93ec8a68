"""Whom a load is sent to: what every endpoint does, and the one for our own controller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ...transport.messages import Usage
from ..asynchronous import AsyncClient
from ..errors import ModserveError
from .asks import Ask
from .objectives import Objectives

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
    """Its controller is told what each request is promised: the class `slo` (None: the usual one),
    and in place of its times the objectives by which the load is judged."""

    def __init__(
        self,
        client: AsyncClient,
        *,
        ignore_eos: bool,
        slo: str | None = None,
        objectives: Objectives | None = None,
    ) -> None:
        self._client = client
        self._ignore_eos = ignore_eos
        self._slo = slo
        self._objectives = objectives

    async def send(self, ask: Ask, hear: Hear) -> Usage | None:
        try:
            async with self._client.stream(
                ask.prompt,
                ask.images,
                max_tokens=ask.output_tokens,
                ignore_eos=self._ignore_eos,
                slo=self._slo,
                **self._promises("image" if ask.images else "text"),
            ) as stream:
                async for chunk in stream:
                    if chunk.token_ids:
                        hear(len(chunk.token_ids))
                return stream.answer.usage
        except ModserveError as error:
            raise AskFailed(str(error)) from error

    def _promises(self, kind: str) -> dict[str, Any]:
        if self._objectives is None:
            return {}
        most_s = self._objectives.most_s
        wanted = {"ttft_ms": most_s.get((kind, "ttft")), "tpot_ms": most_s.get((kind, "tpot"))}
        return {name: seconds * 1000 for name, seconds in wanted.items() if seconds}
