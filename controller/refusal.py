"""A request that cannot be prepared: a word for programs, a sentence for people."""

from __future__ import annotations


class Refused(ValueError):
    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
