"""From lessons to tensors.

One row holds the images of a lesson once, and then its questions side by side: each question
attends to the images and to itself, as if it had been asked alone.

    segment   0 0 0 0 0 | 1 1 1 1 1 1 | 2 2 2 2 2
              images      question 1    question 2
    position  0 1 2 3 4 | 5 6 7 8 ... | 5 6 7 8 ...

A fifth of the rows is a dialogue instead: one segment, each question after the last answer.
An image is one token here; it is expanded when its features, and so their number, are known.
"""

import random
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlavaOnevisionImageProcessorPil, PreTrainedTokenizerFast

from .samples import Lesson, Pair
from .sight import Labels
from .tokenizing import IMAGE

IGNORED = -100
DIALOGUE_SHARE = 0.2
SYSTEM_SHARE = 0.12
SYSTEMS = ("You are a helpful assistant.", "You are a helpful assistant.", "Answer briefly.")


@dataclass(frozen=True)
class Row:
    ids: Tensor  # [tokens]
    targets: Tensor  # [tokens], the next token where it is part of an answer
    segments: Tensor  # [tokens]


@dataclass(frozen=True)
class Batch:
    rows: list[Row]
    pixels: Tensor  # [tiles, 3, side, side], of all images in order
    sizes: Tensor  # [images, 2] (height, width)
    images_per_row: list[int]  # of the rows with images: these come first
    labels: Labels


class Collator:
    """Lessons -> Batch; rows with images first."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, processor: LlavaOnevisionImageProcessorPil
    ) -> None:
        self._tokenizer = tokenizer
        self._processor = processor

    def __call__(self, lessons: list[Lesson], rng: random.Random) -> Batch:
        lessons = sorted(lessons, key=lambda lesson: not lesson.images)
        seen = [lesson for lesson in lessons if lesson.images]
        subjects = [subject for lesson in seen for subject in lesson.subjects]
        pixels, sizes = self._see(seen)
        return Batch(
            rows=[self._row(lesson, rng) for lesson in lessons],
            pixels=pixels,
            sizes=sizes,
            images_per_row=[len(lesson.images) for lesson in seen],
            labels=Labels.of(subjects),
        )

    def _see(self, lessons: list[Lesson]) -> tuple[Tensor, Tensor]:
        """Exactly as at inference: a lone image in tiles, several images one tile each."""
        outputs = [
            self._processor.preprocess([list(lesson.images)], return_tensors="pt")
            for lesson in lessons
        ]
        pixels = torch.cat([output.pixel_values.flatten(0, 1) for output in outputs])
        return pixels, torch.cat([output.image_sizes for output in outputs])

    def _row(self, lesson: Lesson, rng: random.Random) -> Row:
        system = rng.random() < SYSTEM_SHARE
        head = f"<|im_start|>system \n{rng.choice(SYSTEMS)}<|im_end|>" if system else ""
        dialogue = rng.random() < DIALOGUE_SHARE
        # In plain talk side by side, each question opens its own message.
        opening = "<|im_start|>user "
        pieces = [self._prompt(head + (opening + IMAGE * len(lesson.images)))]
        if not lesson.images and not dialogue:
            pieces = [self._prompt(head)]
        pairs = lesson.pairs
        for index, pair in enumerate(pairs):
            segment = 0 if dialogue else index + 1
            first = "" if lesson.images or dialogue else opening
            later = opening if dialogue and index else ""
            pieces += self._question(pair, first + later, segment)
        return Row(*(torch.cat(part) for part in zip(*pieces, strict=True)))

    def _prompt(self, text: str, segment: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        ids = torch.tensor(self._tokenizer(text).input_ids, dtype=torch.long)
        return ids, torch.full_like(ids, IGNORED), torch.full_like(ids, segment)

    def _question(
        self, pair: Pair, opening: str, segment: int
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        asked = f"{opening}\n{pair.question}<|im_end|><|im_start|>assistant\n"
        prompt, targets, segments = self._prompt(asked, segment)
        answer, _, more = self._prompt(f"{pair.answer}<|im_end|>", segment)
        targets[-1] = answer[0]
        rest = torch.cat((answer[1:], torch.tensor([IGNORED])))
        return [(prompt, targets, segments), (answer, rest, more)]
