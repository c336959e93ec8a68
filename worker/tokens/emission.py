"""What one sequence says to its client, token by token, and when it has said all.

    token ids -> TextStream (whole characters) -> StopStrings (nothing of a stop string) -> text

The state is a function of the emitted ids: a re-run gives them to the constructor and goes on
exactly where they end, so that no text is sent twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from ...transport.messages import Sampling
from .detokenization import TextStream
from .stopping import StopStrings


@dataclass(frozen=True, slots=True)
class Emitted:
    text: str
    finish_reason: str | None = None  # "stop" or "length" with the last token


class Emission:
    def __init__(
        self,
        tokenizer: Tokenizer,
        sampling: Sampling,
        eos_ids: frozenset[int],
        emitted: Sequence[int] = (),
    ) -> None:
        self._stream = TextStream(tokenizer)
        self._stops = StopStrings(sampling.stop)
        ends = frozenset(sampling.stop_token_ids)
        self._ends = ends if sampling.ignore_eos else ends | eos_ids
        self._max_tokens = sampling.max_tokens
        self.tokens = 0
        self.finish_reason: str | None = None
        for token_id in emitted:
            self.push(token_id)

    def push(self, token_id: int) -> Emitted:
        if self.finish_reason is not None:
            raise ValueError(f"expected no token after {self.finish_reason}, got {token_id}")
        self.tokens += 1
        if token_id in self._ends:
            return self._finish("", "stop")
        text, stopped = self._stops.push(self._stream.push(token_id))
        if stopped:
            self.finish_reason = "stop"
            return Emitted(text, "stop")
        if self.tokens >= self._max_tokens:
            return self._finish(text, "length")
        return Emitted(text)

    def _finish(self, text: str, reason: str) -> Emitted:
        """Say what was held back; the last open character may still complete a stop string."""
        last, stopped = self._stops.push(self._stream.finish())
        if not stopped:
            last += self._stops.finish()
        self.finish_reason = "stop" if stopped else reason
        return Emitted(text + last, self.finish_reason)
