"""How much work one step may take so that what runs beside it keeps its pace.

Every decode of a text step gets its next token when the step ends, so the step's prefill chunk is
what the others wait for: how long it may be goes by the most hurried of them. Seconds are told by
whoever measures them; the last few count, by their median, since a step that the machine held up
says nothing about the next one.
"""

from __future__ import annotations

from collections import deque
from math import inf, sqrt
from statistics import median

GAP, LONGEST_S = 2.5, 2.5  # of the promised time for each token, a single one may take, and at most
REMEMBERED = 9  # steps
TELLING = 32  # tokens of a prefill chunk from which its time is not mostly overhead
LEAST = 64  # tokens of a chunk, however slow the machine
EARLY = 0.9  # of the promised time for each token: where others want the cores, no sooner
BATCH_S = 0.25  # of an encode: an image that is done is not kept for others much longer than this
SHARE = 1.5  # of the decodes' own time that a chunk may take in any case: a prefill that is put
# off keeps its blocks, and those behind it wait longer than any decode gains


def gap_of(tpot_s: float) -> float:
    """The longest that a decode should wait for its next token, where `tpot_s` was promised as an
    average: most of its tokens come sooner."""
    return inf if tpot_s == inf else min(GAP * tpot_s, LONGEST_S)


def due_s(first_s: float, tokens: int, tpot_s: float) -> float:
    """When token number `tokens` after the first one, which came at `first_s`, should be there:
    who had to wait for others goes without rest until it has caught up."""
    return first_s + EARLY * tpot_s * tokens


class TextPace:
    """A `gap_s` is the longest that any decode of a step should wait for its next token; inf: as
    long as it takes."""

    def __init__(self, most_tokens: int) -> None:
        """`most_tokens` of a step in any case."""
        self.most_tokens = most_tokens
        self._decode_s: deque[float] = deque(maxlen=REMEMBERED)  # of steps without a prefill
        self._token_s: deque[float] = deque(maxlen=REMEMBERED)  # of a prefill, for each token
        self._row_s: deque[float] = deque(maxlen=REMEMBERED)  # of its products alone

    def forget(self) -> None:
        """The steps so far say nothing about those to come."""
        self._decode_s.clear()
        self._token_s.clear()
        self._row_s.clear()

    def took(self, prefill_tokens: int, decodes: int, seconds: float) -> None:
        """A step of so many tokens took so long."""
        if not prefill_tokens:
            self._decode_s.append(seconds)
        elif prefill_tokens >= TELLING:
            beside_s = self.decode_s if decodes else 0.0
            # The decodes' time may be an old one: while prefills wait, no step goes without.
            self._token_s.append(max(seconds / 4, seconds - beside_s) / prefill_tokens)
            # Behind a step without a prefill stands the reading of the weights, which the products
            # overlap (costs/text.py): the step takes the hypotenuse of both.
            rows_s = sqrt(max((seconds / 4) ** 2, seconds**2 - self.decode_s**2))
            self._row_s.append(rows_s / prefill_tokens)

    def budget(self, decodes: int, gap_s: float) -> int:
        """Tokens of the next step, its decodes among them."""
        if gap_s == inf or not decodes or not self.token_s:
            return self.most_tokens
        left_s = max(gap_s - self.decode_s, SHARE * self.decode_s)
        return decodes + max(LEAST, int(min(self.most_tokens - decodes, left_s / self.token_s)))

    def rest_s(self, since_s: float, gap_s: float, left_s: float) -> float:
        """How long a step that only decodes may wait, for when others want the cores: the last one
        began `since_s` ago, and a token of this one is due in `left_s`."""
        if gap_s == inf:
            return 0.0
        return max(0.0, min(left_s, gap_s - since_s) - self.decode_s)

    @property
    def token_s(self) -> float:
        """Of a prefill, for each token; 0 where none was measured."""
        return self._usual(self._token_s)

    @property
    def row_s(self) -> float:
        """Of a prefill's products, for each token: about the same for a prompt alone as for a few
        tokens beside decodes, so that idle and busy workers can be compared; 0: none measured."""
        return self._usual(self._row_s)

    @property
    def decode_s(self) -> float:
        """Of a step without a prefill; 0 where none was measured."""
        return self._usual(self._decode_s)

    @staticmethod
    def _usual(seconds: deque[float]) -> float:
        return median(seconds) if seconds else 0.0


class ImagePace:
    """For encode batches: as many image tokens as take `batch_s`, or one image."""

    def __init__(self, most_tokens: int, batch_s: float = BATCH_S) -> None:
        self.most_tokens, self.batch_s = most_tokens, batch_s
        self._token_s: deque[float] = deque(maxlen=REMEMBERED)

    def took(self, image_tokens: int, seconds: float) -> None:
        if image_tokens:
            self._token_s.append(seconds / image_tokens)

    def budget(self) -> int:
        if not self.token_s:
            return self.most_tokens
        return int(min(self.most_tokens, self.batch_s / self.token_s))

    @property
    def token_s(self) -> float:
        """Of an image token; 0 where none was measured."""
        return median(self._token_s) if self._token_s else 0.0
