"""Prompts of exactly so many tokens, of random words: no two begin alike unless they are to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random

from tokenizers import Tokenizer

WORDS = 4096  # of the vocabulary's first ones, which are the most common
TRIES = 64  # a prompt of one token may need many words until one fits


class NoPrompts(Exception):
    """One sentence."""


class Prompts:
    """`prefix_tokens` more stand in front of every prompt, the same in all."""

    def __init__(self, tokenizer: Tokenizer, *, seed: int, prefix_tokens: int = 0) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._seed = seed
        self._words = self._single_words()
        self._prefix_tokens = 0
        self._prefix = ""
        if prefix_tokens:
            self._prefix = self.prompt("prefix", prefix_tokens)
            self._prefix_tokens = prefix_tokens

    def prompt(self, name: str, tokens: int) -> str:
        """The same for the same name and seed. Special tokens and templates are not counted."""
        dice = Random(f"{self._seed} {name}")
        words = tokens
        for _ in range(TRIES):
            text = (self._prefix + "".join(dice.choices(self._words, k=words))).lstrip()
            missing = self._prefix_tokens + tokens - self._count([text])[0]
            if missing == 0:
                return text
            words = max(1, words + missing)
        raise NoPrompts(f"expected to make {tokens} tokens of this tokenizer's words, could not")

    def _single_words(self) -> list[str]:
        """Words, a space before each, that are one token wherever they follow another."""
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=False)
        spelled = sorted(vocabulary, key=lambda token: vocabulary[token])
        words = [f" {token[1:]}" for token in spelled if re.fullmatch("[Ġ▁][a-z]{2,}", token)]
        alone, *after = self._count(["a", *(f"a{word}" for word in words[:WORDS])])
        single = [word for word, count in zip(words, after, strict=False) if count == alone + 1]
        if len(single) < 2:
            raise NoPrompts("expected a tokenizer with words of one token, got one without")
        return single

    def _count(self, texts: list[str]) -> list[int]:
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]


def read_tokenizer(path: Path) -> Tokenizer:
    """From a tokenizer.json or the folder that it is in; raises NoPrompts."""
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
        read = json.loads(text)
    except (OSError, ValueError) as error:
        raise NoPrompts(f"expected a tokenizer in {file}, got {error}") from error
    if not isinstance(read, dict) or "model" not in read:  # the library raises plain Exception
        raise NoPrompts(f"expected a tokenizer in {file}, got other JSON")
    return Tokenizer.from_str(text)
