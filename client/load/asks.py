"""One request of a load, ready to be sent. All are made before the clock starts: whatever is
made while requests are under way would take its time from the system that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .pictures import Pictures
from .prompts import Prompts


@dataclass(frozen=True, slots=True)
class Ask:
    at_s: float  # when it is to be sent, from the start of the load
    prompt: str
    text_tokens: int  # of the prompt
    output_tokens: int  # at most; exactly so many where the end of the text is ignored
    images: tuple[bytes, ...] = ()  # files; they come before the prompt


class Maker:
    def __init__(self, prompts: Prompts, pictures: Pictures) -> None:
        self._prompts = prompts
        self._pictures = pictures

    def ask(
        self,
        name: str,
        *,
        at_s: float,
        text_tokens: int,
        output_tokens: int,
        sizes: Sequence[tuple[int, int]],
    ) -> Ask:
        """Names differ, or prompts are the same; `sizes` are (width, height) of its images."""
        images = tuple(self._pictures.picture(*size) for size in sizes)
        prompt = self._prompts.prompt(name, text_tokens)
        return Ask(at_s, prompt, text_tokens, output_tokens, images)
