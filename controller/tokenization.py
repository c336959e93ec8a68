"""Text to token ids, where what people typed can never become a special token.

Theory of operation. A typed `<image>` or `<|im_end|>` must stay text, yet the template's own must
not. Before the template runs, each special literal in a person's text is replaced by a mark that
nobody can guess; afterwards the rendered text falls into stretches between genuine special
tokens, where every tokenizer starts anew anyway. A stretch without marks is encoded as it is, so
a chat without literals gives exactly transformers' ids; one with marks gets its literals back and
is encoded by a second tokenizer, which knows no special tokens.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken, Tokenizer

from ..transport.checkpoint import read_json
from ..transport.messages import TextPart, Turn
from .alphabet import spelling_of
from .refusal import Refused


class Typed:
    """The literals of one request's texts, behind their marks."""

    def __init__(self, literals: re.Pattern[str]) -> None:
        self._literals = literals
        self._nonce = secrets.token_hex(8)
        self._found: list[str] = []
        self.mark = re.compile(f"\ue000{self._nonce}:([0-9]+)\ue001")

    def hide(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        return tuple(self._hide_turn(turn) for turn in turns)

    def restore(self, text: str) -> str:
        return self.mark.sub(lambda found: self._found[int(found[1])], text)

    def _hide_turn(self, turn: Turn) -> Turn:
        texts = [part.text for part in turn.content if isinstance(part, TextPart)]
        together = "".join(texts)
        if not self._literals.search(together):
            return turn
        if len(texts) > 1 and self._spans(texts, together):
            turn = _joined(turn, together)
        return Turn(
            turn.role,
            tuple(
                TextPart(self._literals.sub(self._mark, part.text))
                if isinstance(part, TextPart)
                else part
                for part in turn.content
            ),
        )

    def _spans(self, texts: Sequence[str], together: str) -> bool:
        """Whether parts that are harmless one by one make a literal when they are put together."""
        within = sum(len(self._literals.findall(text)) for text in texts)
        return len(self._literals.findall(together)) != within

    def _mark(self, found: re.Match[str]) -> str:
        self._found.append(found[0])
        return f"\ue000{self._nonce}:{len(self._found) - 1}\ue001"


class Tokenization:
    """`extra` are ids that text may not make even if the tokenizer does not call them special."""

    def __init__(self, folder: Path, extra: Sequence[int] = ()) -> None:
        self._tokenizer = _load(folder)
        added = self._tokenizer.get_added_tokens_decoder()
        special = {id: t.content for id, t in added.items() if t.special or id in extra}
        self._special_ids = frozenset(special)
        self._added = frozenset(added)
        self._bytes_of = spelling_of(self._tokenizer)
        ordered = sorted(special.values(), key=len, reverse=True)  # the longest is tried first
        self.literals = re.compile("|".join(map(re.escape, ordered)) or r"(?!)")
        self._split = re.compile(f"({self.literals.pattern})")
        self._plain = _load(folder)
        self._plain.add_special_tokens(
            [
                AddedToken(special[id], special=True, normalized=False)
                for id in extra
                if id in special
            ]
        )
        self._plain.encode_special_tokens = True
        # what a tokenizer puts in front by itself (Llama's begin of text), where that is asked for
        self.front: list[int] = self._tokenizer.encode("").ids

    def word(self, token_id: int) -> str | None:
        return self._tokenizer.id_to_token(token_id)

    def piece(self, token_id: int) -> bytes | None:
        """The bytes that a token stands for; None where there is none of this id."""
        word = self.word(token_id)
        if word is None or token_id in self._added:
            return None if word is None else word.encode()
        return self._bytes_of(word)

    def encode(self, rendered: str, typed: Typed) -> list[int]:
        if not typed.mark.search(rendered):
            return _ids(self._tokenizer, rendered)
        ids: list[int] = []
        untouched = ""
        for piece in self._split.split(rendered):
            if typed.mark.search(piece):
                ids += _ids(self._tokenizer, untouched)
                ids += self.as_text(typed.restore(piece))
                untouched = ""
            else:
                untouched += piece
        return ids + _ids(self._tokenizer, untouched)

    def as_text(self, text: str) -> list[int]:
        """Ids without any of a special token; Refused where that cannot be."""
        ids = _ids(self._plain, text)
        if not self._special_ids.isdisjoint(ids):
            raise Refused(
                "special_token", "expected text without special tokens that cannot be spelled out"
            )
        return ids


def _load(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    read_json(path)  # half a file is told apart here: the library raises plain Exception
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """The batch form lets go of the interpreter's lock while it works; plain `encode` does not."""
    (encoding,) = tokenizer.encode_batch_fast([text], add_special_tokens=False)
    ids: list[int] = encoding.ids
    return ids


def _joined(turn: Turn, together: str) -> Turn:
    images = tuple(part for part in turn.content if not isinstance(part, TextPart))
    return Turn(turn.role, (*images, TextPart(together)))
