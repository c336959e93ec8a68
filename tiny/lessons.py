"""What training asks at each step: a mixture of digits, scenes, comparisons and plain talk."""

import random
from collections.abc import Iterator

from . import chat, comparisons, digits, scenes
from .practice import count, recite, tell
from .questions import about_digit, about_scene
from .samples import Drill, Lesson, Pair
from .things import Scene
from .verdicts import about_digits, about_scenes


def draw_lesson(rng: random.Random) -> Lesson:
    kind = rng.random()
    if kind < 0.54:
        return draw_scene(rng)
    if kind < 0.62:
        return draw_digit(rng)
    if kind < 0.92:
        return draw_comparison(rng)
    return Lesson((), tuple(chat.draw(rng) for _ in range(5)))


def draw_scene(rng: random.Random) -> Lesson:
    scene = scenes.draw_scene(rng, held_out=False)
    asked = [about_scene(scene, rng) for _ in range(4)]
    return Lesson((scene,), (*asked, *_practice([scene], rng)))


def draw_comparison(rng: random.Random) -> Lesson:
    lesson = comparisons.draw(rng, held_out=False, questions=4)
    shown = [subject for subject in lesson.subjects if isinstance(subject, Scene)]
    if len(shown) < len(lesson.subjects):
        return lesson
    return Lesson(lesson.subjects, (*lesson.pairs, *_practice(shown, rng)))


def _practice(shown: list[Scene], rng: random.Random) -> list[Drill]:
    return [recite(shown, rng), tell(shown, rng) or recite(shown, rng), count(shown, rng)]


def draw_digit(rng: random.Random) -> Lesson:
    scan = rng.choice(digits.scans(held_out=False))
    return Lesson((scan,), tuple(about_digit(scan.digit, rng) for _ in range(2)))


def texts(count: int) -> Iterator[str]:
    """For the tokenizer: as training will see them."""
    rng = random.Random("texts")
    for _ in range(count):
        for pair in _draw_pairs(rng):
            yield f"user\nImage 1:\n{pair.question}"
            yield f"assistant\n{pair.answer}"


def _draw_pairs(rng: random.Random) -> list[Pair | Drill]:
    scene = [scenes.draw_scene(rng, held_out=False) for _ in range(2)]
    shown = [rng.randrange(10) for _ in range(rng.choice((2, 2, 3, 4)))]
    return [
        about_scene(scene[0], rng),
        about_scenes(scene, rng),
        *_practice(scene, rng),
        about_digit(shown[0], rng),
        about_digits(shown, rng),
        chat.draw(rng),
    ]
