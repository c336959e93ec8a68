"""What clients ask about tokens alone: the ids of a text or a chat, and how ids are spelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from ..transport import messages as say
from ..transport.messages import TextPart
from ..transport.patience import Patience, TooSlow
from .options import Limits
from .preparation import Preparer
from .refusal import Refused

log = logging.getLogger(__name__)

MOST_PIECES = 100_000  # in one question
MOST_WAITING = 1_000  # texts


class Spelling:
    """Texts are looked at in the threads that prepare requests."""

    def __init__(
        self,
        preparer: Preparer,
        limits: Limits,
        threads: Patience,
        answer: Callable[[bytes, say.ToClient], None],
    ) -> None:
        self._preparer, self._limits = preparer, limits
        self._threads, self._answer = threads, answer
        self._waiting = 0

    def tokens(self, identity: bytes, word: say.AskTokens) -> None:
        if reason := self._complaint(word):
            self._answer(identity, say.Denied(word.ask, reason))
            return
        self._waiting += 1
        future = self._threads.run(partial(self._tokens, word))
        future.add_done_callback(partial(self._tell, identity, word.ask))

    def pieces(self, identity: bytes, word: say.AskPieces) -> None:
        if len(word.token_ids) > MOST_PIECES:
            reason = f"expected at most {MOST_PIECES} token ids, got {len(word.token_ids)}"
            self._answer(identity, say.Denied(word.ask, reason))
            return
        found: list[bytes] = []
        for token_id in word.token_ids:
            piece = self._preparer.piece(token_id) if 0 <= token_id < 2**32 else None
            # an embedding may have more rows than the tokenizer has words: those are spelled ""
            if piece is None and not 0 <= token_id < self._preparer.facts.vocabulary:
                most = self._preparer.facts.vocabulary - 1
                reason = f"expected token ids from 0 to {most}, got {token_id}"
                self._answer(identity, say.Denied(word.ask, reason))
                return
            found.append(piece or b"")
        self._answer(identity, say.Pieces(word.ask, tuple(found)))

    def _complaint(self, word: say.AskTokens) -> str | None:
        if (word.text is None) == (not word.turns):
            return "expected either a text or a chat, got both or none"
        parts = [TextPart(word.text or ""), *(part for one in word.turns for part in one.content)]
        if not all(isinstance(part, TextPart) for part in parts):
            return "expected a chat of texts, got one with images"
        size = sum(len(part.text) for part in parts if isinstance(part, TextPart))
        if size > self._limits.max_prompt_bytes:
            return f"expected at most {self._limits.max_prompt_bytes} characters, got {size}"
        if self._waiting >= MOST_WAITING:
            return f"busy: {MOST_WAITING} texts wait for their tokens, which is the limit"
        return None

    def _tokens(self, word: say.AskTokens) -> tuple[int, ...]:
        if word.text is not None:
            return tuple(self._preparer.tokens_of_text(word.text))
        return tuple(self._preparer.prepare(word.turns, ()).token_ids)

    def _tell(self, identity: bytes, ask: int, future: asyncio.Future[tuple[int, ...]]) -> None:
        self._waiting -= 1
        error = None if future.cancelled() else future.exception()
        if future.cancelled():
            pass
        elif error is None:
            self._answer(identity, say.Tokens(ask, future.result()))
        elif isinstance(error, Refused | TooSlow):
            self._answer(identity, say.Denied(ask, str(error)))
        else:  # a bug of ours must not leave the client without an answer
            log.error("tokenization failed", exc_info=error)
            self._answer(identity, say.Denied(ask, "tokenization failed"))
