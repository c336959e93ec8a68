"""One open request as its client sees it: deltas are put in order, checked, and kept.

A reception holds its whole answer whether it is read or not. That is the bound on its memory:
`max_tokens` tokens at most, more are refused as broken. So a reader that stops costs no more than
one that reads, and never holds up another request of the same client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from msgspec import structs

from ..transport.messages import Delta, Ended, Submit, TokenLogprobs
from .answers import Answer, Chunk
from .errors import AnswerBroken, ModserveError, Refused, RequestFailed


class Reception:
    def __init__(
        self, submit: Submit, frames: Sequence[bytes | memoryview], *, opened_at: float
    ) -> None:
        self.submit = submit
        self.frames = frames
        self.opened_at = opened_at
        self.over = False
        self.gap: tuple[float, Callable[[], None]] | None = None  # since when; to take it as it is
        self.cancelled = False  # by the caller, who gets what there is rather than an error
        self._pieces: list[str] = []
        self._token_ids: list[int] = []
        self._logprobs: list[TokenLogprobs] = []
        self._length = 0  # characters in the pieces
        self._length_at = {0: 0}  # tokens -> characters, wherever a delta began or ended
        self._read = (0, 0)  # pieces and tokens that were handed out
        self._whole: Answer | None = None
        self._error: ModserveError | None = None
        self._news = asyncio.Event()

    @property
    def request_id(self) -> str:
        return self.submit.request_id

    @property
    def received(self) -> int:
        """Tokens so far."""
        return len(self._token_ids)

    def repeated(self) -> Submit:
        """The Submit as it is to be sent again, to whoever may have forgotten the first."""
        return structs.replace(
            self.submit, emitted=tuple(self._token_ids[:-1]), had=len(self._token_ids)
        )

    # What comes in.

    def take(self, delta: Delta) -> None:
        """Append what is new of a delta. After a reconnection parts of the answer come again."""
        have = len(self._token_ids)
        at = self._length_at.get(delta.start)
        if delta.start > have:
            self._break(f"expected token {have} next, got token {delta.start}: some were lost")
        elif at is None:
            self._break(f"expected a repetition to begin where a part did, got {delta.start}")
        elif delta.start + len(delta.token_ids) > self.submit.sampling.max_tokens:
            self._break(f"expected at most {self.submit.sampling.max_tokens} tokens, got more")
        elif at == self._length and delta.start == have:
            self._append(delta.text, delta.token_ids, delta.logprobs)
        else:
            self._repeat(delta, at)

    def _repeat(self, delta: Delta, at: int) -> None:
        """What came before must be the same; what follows it is new."""
        overlap = len(self._token_ids) - delta.start
        old_ids = self._token_ids[delta.start : delta.start + len(delta.token_ids)]
        old_text = "".join(self._pieces)[at : at + len(delta.text)]
        if old_ids != list(delta.token_ids[:overlap]) or not delta.text.startswith(old_text):
            self._break(f"expected token {delta.start} and on as before, got others")
            return
        self._length_at[delta.start + len(delta.token_ids)] = at + len(delta.text)
        new_text, new_ids = delta.text[len(old_text) :], delta.token_ids[overlap:]
        if new_text or new_ids:
            self._append(new_text, new_ids, delta.logprobs[overlap:])

    def _append(
        self, text: str, token_ids: Sequence[int], logprobs: Sequence[TokenLogprobs]
    ) -> None:
        if text:
            self._pieces.append(text)
        self._token_ids += token_ids
        self.gap = None
        self._logprobs += logprobs
        self._length += len(text)
        self._length_at[len(self._token_ids)] = self._length
        self._news.set()

    def end(self, ended: Ended) -> None:
        told = ended.usage.completion_tokens
        stopped = ended.finish_reason == "cancelled" and not self.cancelled
        if ended.finish_reason == "error" or stopped:
            reason = ended.error or f"the controller ended it as {ended.finish_reason}"
            self.fail(RequestFailed(reason, self._answer(ended.finish_reason, ended)))
        elif ended.finish_reason != "cancelled" and told != len(self._token_ids):
            self._break(f"expected {told} tokens, got {len(self._token_ids)}")
        else:
            self._finish(self._answer(ended.finish_reason, ended))

    def refuse(self, code: str, reason: str, retry_after_s: float | None = None) -> None:
        if self.cancelled:
            self._finish(self._answer("cancelled", None))
        else:
            self.fail(Refused(code, reason, retry_after_s))

    def _finish(self, answer: Answer) -> None:
        self._whole = answer
        self._close()

    def fail(self, error: ModserveError) -> None:
        if not self.over:
            self._error = error
            self._close()

    def _break(self, reason: str) -> None:
        self.fail(AnswerBroken(f"{self.request_id}: {reason}", self._answer("error", None)))

    def _close(self) -> None:
        self.over = True
        self.frames = ()  # pixels are not needed again
        self._news.set()

    # What goes out.

    async def chunk(self) -> Chunk | None:
        """All that came since the last call, waiting for some; None at the end."""
        while not self._unread() and not self.over:
            self._news.clear()
            await self._news.wait()
        if self._unread():
            return self._take_unread()
        if self._error is not None:
            raise self._error
        return None

    async def ended(self) -> None:
        """Wait for the last word, reading nothing; raises what `chunk` would."""
        while not self.over:
            self._news.clear()
            await self._news.wait()
        if self._error is not None:
            raise self._error

    def answer(self) -> Answer:
        """The whole answer, once it has ended well."""
        if self._whole is None:
            raise RuntimeError(f"expected {self.request_id} to have ended well, it has not")
        return self._whole

    def _unread(self) -> bool:
        return self._read != (len(self._pieces), len(self._token_ids))

    def _take_unread(self) -> Chunk:
        piece, token = self._read
        self._read = (len(self._pieces), len(self._token_ids))
        return Chunk(
            "".join(self._pieces[piece:]),
            tuple(self._token_ids[token:]),
            tuple(self._logprobs[token:]),
        )

    def _answer(self, finish_reason: str, ended: Ended | None) -> Answer:
        return Answer(
            request_id=self.request_id,
            text="".join(self._pieces),
            token_ids=tuple(self._token_ids),
            finish_reason=finish_reason,
            usage=None if ended is None else ended.usage,
            timing=None if ended is None else ended.timing,
            logprobs=tuple(self._logprobs) if self.submit.sampling.logprobs is not None else None,
        )
