"""The requests: pictures that no cache has seen, and prompts of random words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from ...client.load.asks import Ask
from ...client.load.pictures import Pictures
from ...client.load.prompts import Prompts, read_tokenizer
from ...scheduler.slo.outcome import Modality
from .phases import Due

PICTURES, SIZE = 2, (1280, 960)  # of a request with images: little text, much to encode
DIFFERENT = 8  # pictures that are drawn; each copy is another file, for whoever hashes it
TEXT_TOKENS = {Modality.IMAGE: 8, Modality.TEXT: 384}
OUTPUT_TOKENS = {Modality.IMAGE: 4, Modality.TEXT: 12}


class Asks:
    def __init__(self, tokenizer: Path) -> None:
        self._prompts = Prompts(read_tokenizer(tokenizer), seed=0)
        pictures = Pictures(seed=0)
        self._files = [pictures.picture(*SIZE) for _ in range(DIFFERENT)]
        self._numbers = count()

    def each(self, due: Iterable[Due]) -> Iterator[Ask]:
        """Made when it is asked for: all of them would take too much memory."""
        for one in due:
            yield self.one(one)

    def one(self, due: Due) -> Ask:
        tokens = TEXT_TOKENS[due.modality]
        return Ask(
            at_s=due.at_s,
            prompt=self._prompts.prompt(str(next(self._numbers)), tokens),
            text_tokens=tokens,
            output_tokens=OUTPUT_TOKENS[due.modality],
            images=tuple(self._files_of(due)),
        )

    def _files_of(self, due: Due) -> Iterator[bytes]:
        """Behind its end a JPEG file may have anything."""
        for _ in range(PICTURES if due.modality is Modality.IMAGE else 0):
            number = next(self._numbers)
            yield self._files[number % DIFFERENT] + number.to_bytes(8, "big")
