"""Token ids to text, one id at a time: what has been said never changes and is never half a
character, and all of it together is what decoding every id at once gives.

The tokenizer's own decoder does the work, on a short window: the ids whose text is still open,
after a few settled ones as context (a decoder may treat the first token of a text apart, as
Llama's Strip does). The cost of an id does not grow with the text.

    ... settled ...  [ context | open ]  -> text(context + open) - text(context)
"""

from __future__ import annotations

from functools import lru_cache

from tokenizers import Tokenizer

_OPEN = 6  # an unfinished character is at most 3 bytes: longer than this is not UTF-8 at all


class TextStream:
    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._silent, self._bytes = _kinds(tokenizer)
        self._window: list[int] = []
        self._context = 0  # how many ids of the window are context
        self._told = 0  # characters of the window's text that are context or were returned

    def push(self, token_id: int) -> str:
        """The text that `token_id` settles; "" where it ends inside a character."""
        if token_id in self._silent or self._tokenizer.id_to_token(token_id) is None:
            return ""
        self._window.append(token_id)
        if token_id in self._bytes:
            return ""  # one wrong byte spoils the whole run of them: it is settled by its end
        text = self._decode(self._window)
        settled = len(text) - text.endswith("\ufffd")
        new = text[self._told : settled]
        self._told = max(self._told, settled)
        if settled == len(text):
            self._settle(len(self._window))
        elif len(self._window) - self._context > _OPEN:
            self._cut(text)
        return new

    def finish(self) -> str:
        """What is still open, with U+FFFD for a character that never came to its end."""
        return self._decode(self._window)[self._told :]

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)

    def _settle(self, count: int) -> None:
        """Keep of the first `count` ids only a context that has text of its own."""
        told = self._told
        for start in range(count - 1, -1, -1):
            if context := self._decode(self._window[start:count]):
                before = self._decode(self._window[:count])
                del self._window[:start]
                self._context = count - start
                self._told = told - len(before) + len(context)
                return
        self._context = count

    def _cut(self, text: str) -> None:
        """Settle what stands before the last id, if no character spans the cut."""
        head, tail = self._window[:-1], self._window[-1:]
        if self._decode(head) + self._decode(tail) == text:
            self._settle(len(head))


@lru_cache(maxsize=16)
def _kinds(tokenizer: Tokenizer) -> tuple[frozenset[int], frozenset[int]]:
    """Ids that decode to nothing, and ids of single bytes ("<0x0A>") of byte-fallback models."""
    added = tokenizer.get_added_tokens_decoder()
    silent = frozenset(id for id, token in added.items() if token.special)
    found = (tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in range(256))
    return silent, frozenset(id for id in found if id is not None)
