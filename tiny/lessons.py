"""What training sees at each step: a mixture of digits, scenes, comparisons and plain talk."""

import random
from collections.abc import Iterator

from . import chat, comparisons, digits, scenes
from .questions import about_digit, about_scene
from .samples import Lesson
from .verdicts import about_digits, about_scenes

BEND = 0.09  # how far training moves the corners of a scan, as a share of its side


def draw_lesson(rng: random.Random) -> Lesson:
    kind = rng.random()
    if kind < 0.36:
        return draw_scene(rng)
    if kind < 0.66:
        return draw_digit(rng)
    if kind < 0.92:
        return comparisons.draw(rng, held_out=False, questions=3, bend=BEND)
    return Lesson((), (), tuple(chat.draw(rng) for _ in range(5)))


def draw_scene(rng: random.Random) -> Lesson:
    scene = scenes.draw_scene(rng, held_out=False)
    pairs = tuple(about_scene(scene, rng) for _ in range(6))
    return Lesson((scenes.paint(scene, rng),), (scene,), pairs)


def draw_digit(rng: random.Random) -> Lesson:
    scan = rng.choice(digits.scans(held_out=False))
    pairs = tuple(about_digit(scan.digit, rng) for _ in range(2))
    return Lesson((digits.draw(scan, rng, BEND),), (scan.digit,), pairs)


def texts(count: int) -> Iterator[str]:
    """For the tokenizer: as training will see them, but drawn without a single image."""
    rng = random.Random("texts")
    for _ in range(count):
        scene = [scenes.draw_scene(rng, held_out=False) for _ in range(2)]
        shown = [rng.randrange(10) for _ in range(rng.choice((2, 2, 3, 4)))]
        for pair in (
            about_scene(scene[0], rng),
            about_scenes(scene, rng),
            about_digit(shown[0], rng),
            about_digits(shown, rng),
            chat.draw(rng),
        ):
            yield f"user \n{pair.question}"
            yield f"assistant\n{pair.answer}"
