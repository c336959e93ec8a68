"""Questions about several images at once: digits, scenes, or one of each."""

import random
from collections.abc import Iterator

from . import digits, scenes
from .pictures import paint
from .questions import describe
from .samples import Lesson, Pair, Sample
from .things import Scan, Scene, Subject
from .verdicts import ORDINALS, about_digits, about_scenes

SAME_SHARE = 0.4  # of the two-digit samples show the same digit twice


def held_out(count: int, seed: int = 0) -> Iterator[Sample]:
    """Held-out scans and scenes, two to four images in a question."""
    rng = random.Random(f"held-out comparisons {seed}")
    for _ in range(count):
        lesson = draw(rng, held_out=True)
        images = tuple(paint(subject, rng) for subject in lesson.subjects)
        (pair,) = lesson.pairs
        yield Sample(images, pair.question, pair.answer)


def draw(rng: random.Random, held_out: bool, questions: int = 1) -> Lesson:
    kind = rng.random()
    if kind < 0.5:
        return _draw_digits(rng, held_out, questions)
    if kind < 0.92:
        return _draw_scenes(rng, held_out, questions)
    return _draw_mixed(rng, held_out, questions)


def _draw_digits(rng: random.Random, held_out: bool, questions: int) -> Lesson:
    rows = digits.scans(held_out)
    chosen = [rng.choice(rows) for _ in range(rng.choice((2, 2, 2, 3, 4)))]
    if len(chosen) == 2 and rng.random() < SAME_SHARE:
        chosen[1] = rng.choice([scan for scan in rows if scan.digit == chosen[0].digit])
    shown = [scan.digit for scan in chosen]
    return Lesson(tuple(chosen), tuple(about_digits(shown, rng) for _ in range(questions)))


def _draw_scenes(rng: random.Random, held_out: bool, questions: int) -> Lesson:
    most = rng.choice((1, 4))
    pair = [scenes.draw_scene(rng, held_out, most) for _ in range(2)]
    if most == 1 and rng.random() < 0.4:
        pair[1] = _draw_like(pair[0], rng, held_out)
    return Lesson(tuple(pair), tuple(about_scenes(pair, rng) for _ in range(questions)))


def _draw_like(scene: Scene, rng: random.Random, held_out: bool) -> Scene:
    """One thing that shares its colour or its shape with the one thing in `scene`."""
    thing = scene.things[0]
    while True:
        other = scenes.draw_scene(rng, held_out, most=1)
        if other.count(thing.colour) or other.count(thing.shape):
            return other


def _draw_mixed(rng: random.Random, held_out: bool, questions: int) -> Lesson:
    subjects: list[Subject] = [
        rng.choice(digits.scans(held_out)),
        scenes.draw_scene(rng, held_out, most=3),
    ]
    rng.shuffle(subjects)
    pairs = []
    for _ in range(questions):
        which = rng.randrange(2)
        question = rng.choice(("What is in the {} image?", "What does the {} image show?"))
        answer = f"The {ORDINALS[which]} image shows {_name(subjects[which])}."
        pairs.append(Pair(question.format(ORDINALS[which]), answer))
    return Lesson(tuple(subjects), tuple(pairs))


def _name(subject: Subject) -> str:
    return f"the digit {subject.digit}" if isinstance(subject, Scan) else describe(subject)
