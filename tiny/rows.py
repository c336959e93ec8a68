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
from functools import cache

import torch
from torch import Tensor
from transformers import LlavaOnevisionImageProcessorPil, PreTrainedTokenizerFast

from .canvas import draw_size
from .codes import Labels, Tile, see
from .imagination import imagine
from .pictures import paint
from .samples import Lesson
from .tokenizing import number_images

IGNORED = -100
DIALOGUE_SHARE = 0.2
SYSTEM_SHARE = 0.12
SYSTEMS = ("You are a helpful assistant.", "You are a helpful assistant.", "Answer briefly.")
BEND = 0.08  # how far training moves the corners of a scan, as a share of its side
OPENING = "<|im_start|>user\n"


@dataclass(frozen=True)
class Row:
    ids: Tensor  # [tokens]
    targets: Tensor  # [tokens], the next token where it is part of an answer
    segments: Tensor  # [tokens]


@dataclass(frozen=True)
class Batch:
    rows: list[Row]
    pixels: Tensor | None  # [tiles, 3, side, side], of all images in order; None if not drawn
    labels: Labels  # of the tiles of all images in order, or of the first of each if drawn
    tiles_per_image: list[int]  # of those that are labelled
    sizes: Tensor  # [images, 2] (height, width)
    images_per_row: list[int]  # of the rows with images: these come first


class Collator:
    """Lessons -> Batch; rows with images first."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, processor: LlavaOnevisionImageProcessorPil
    ) -> None:
        self._processor = processor
        self._numbers = cache(lambda text: tokenizer(text).input_ids)

    def imagined(self, lessons: list[Lesson], rng: random.Random) -> Batch:
        """Without drawing any image."""
        seen, rest = _split(lessons)
        sizes: list[tuple[int, int]] = []
        tiles: list[list[Tile]] = []
        for lesson in seen:
            for subject in lesson.subjects:
                width, height = draw_size(rng)
                sizes.append((height, width))
                tiles.append(imagine(subject, sizes[-1], len(lesson.subjects) == 1, rng))
        return self._batch(seen + rest, rng, None, torch.tensor(sizes), tiles)

    def drawn(self, lessons: list[Lesson], rng: random.Random) -> Batch:
        """Exactly as at inference: a lone image in tiles, several images one tile each."""
        seen, rest = _split(lessons)
        images = [[paint(subject, rng, BEND) for subject in lesson.subjects] for lesson in seen]
        outputs = [self._processor.preprocess([some], return_tensors="pt") for some in images]
        pixels = torch.cat([output.pixel_values.flatten(0, 1) for output in outputs])
        sizes = torch.cat([output.image_sizes for output in outputs])
        tiles = [[see(subject)] for lesson in seen for subject in lesson.subjects]
        return self._batch(seen + rest, rng, pixels, sizes, tiles)

    def _batch(
        self,
        lessons: list[Lesson],
        rng: random.Random,
        pixels: Tensor | None,
        sizes: Tensor,
        tiles: list[list[Tile]],  # of each image
    ) -> Batch:
        return Batch(
            rows=[self._row(lesson, rng) for lesson in lessons],
            pixels=pixels,
            labels=Labels.of([tile for image in tiles for tile in image]),
            tiles_per_image=[len(image) for image in tiles],
            sizes=sizes,
            images_per_row=[len(lesson.subjects) for lesson in lessons if lesson.subjects],
        )

    def _row(self, lesson: Lesson, rng: random.Random) -> Row:
        system = rng.random() < SYSTEM_SHARE
        head = f"<|im_start|>system\n{rng.choice(SYSTEMS)}<|im_end|>" if system else ""
        dialogue = rng.random() < DIALOGUE_SHARE
        if lesson.subjects or dialogue:
            head += OPENING + number_images(len(lesson.subjects))
        texts = [(head, False, 0)]
        for index, pair in enumerate(lesson.pairs):
            # In plain talk side by side, each question opens its own message.
            opened = index == 0 if dialogue else bool(lesson.subjects)
            opening = "" if opened else OPENING
            segment = 0 if dialogue else index + 1
            asked = f"{opening}{pair.question}<|im_end|><|im_start|>assistant\n"
            texts.append((asked, False, segment))
            texts += [(piece.text, piece.asked, segment) for piece in pair.pieces]
            texts.append(("<|im_end|>", True, segment))
        return self._tokenize(texts)

    def _tokenize(self, texts: list[tuple[str, bool, int]]) -> Row:
        """Of texts, whether they are asked for, and their segments."""
        tokens = [
            (number, asked, segment)
            for text, asked, segment in texts
            for number in self._numbers(text)
        ]
        ids, asked, segments = (torch.tensor(part) for part in zip(*tokens, strict=True))
        targets = torch.where(asked, ids, IGNORED).roll(-1)
        return Row(ids, targets, segments)


def _split(lessons: list[Lesson]) -> tuple[list[Lesson], list[Lesson]]:
    """Those with images, and the others."""
    seen = [lesson for lesson in lessons if lesson.subjects]
    return seen, [lesson for lesson in lessons if not lesson.subjects]
