"""How tokens are spelled, learned from the controller as they are met."""

from __future__ import annotations

from collections.abc import Iterable

from ..client import Answer, AsyncClient, Chunk

MOST_ASKED = 10_000  # in one question


class Vocabulary:
    """`words` has every token that was learned; it is forgotten when the model changes."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._fingerprint = ""
        self.words: dict[int, bytes] = {}

    async def learn(self, said: Iterable[Answer | Chunk]) -> None:
        """All tokens that these name, the likely ones beside the chosen too."""
        wanted = {id for one in said if one.logprobs for id in _named(one)}
        await self.learn_ids(wanted)

    async def learn_ids(self, token_ids: Iterable[int]) -> None:
        fingerprint = (await self._client.greeting()).fingerprint
        if fingerprint != self._fingerprint:
            self.words, self._fingerprint = {}, fingerprint
        missing = sorted(set(token_ids) - self.words.keys())
        for begin in range(0, len(missing), MOST_ASKED):
            some = missing[begin : begin + MOST_ASKED]
            self.words |= zip(some, await self._client.pieces(some), strict=True)


def _named(said: Answer | Chunk) -> Iterable[int]:
    yield from said.token_ids
    for one in said.logprobs or ():
        yield from (id for id, _ in one.top)
