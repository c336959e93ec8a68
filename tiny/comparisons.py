"""Questions about several images at once: digits, scenes, or one of each."""

import random
from collections.abc import Iterator

from . import digits, scenes
from .questions import describe
from .samples import Lesson, Pair, Sample
from .things import Scene
from .verdicts import ORDINALS, about_digits, about_scenes

SAME_SHARE = 0.4  # of the two-digit samples show the same digit twice


def held_out(count: int, seed: int = 0) -> Iterator[Sample]:
    """Held-out scans and scenes, two to four images in a question."""
    rng = random.Random(f"held-out comparisons {seed}")
    for _ in range(count):
        lesson = draw(rng, held_out=True)
        (pair,) = lesson.pairs
        yield Sample(lesson.images, pair.question, pair.answer)


def draw(rng: random.Random, held_out: bool, questions: int = 1, bend: float = 0.0) -> Lesson:
    kind = rng.random()
    if kind < 0.5:
        return _draw_digits(rng, held_out, questions, bend)
    if kind < 0.92:
        return _draw_scenes(rng, held_out, questions)
    return _draw_mixed(rng, held_out, questions, bend)


def _draw_digits(rng: random.Random, held_out: bool, questions: int, bend: float) -> Lesson:
    rows = digits.scans(held_out)
    chosen = [rng.choice(rows) for _ in range(rng.choice((2, 2, 2, 3, 4)))]
    if len(chosen) == 2 and rng.random() < SAME_SHARE:
        chosen[1] = rng.choice([scan for scan in rows if scan.digit == chosen[0].digit])
    shown = [scan.digit for scan in chosen]
    images = tuple(digits.draw(scan, rng, bend) for scan in chosen)
    pairs = tuple(about_digits(shown, rng) for _ in range(questions))
    return Lesson(images, tuple(shown), pairs)


def _draw_scenes(rng: random.Random, held_out: bool, questions: int) -> Lesson:
    most = rng.choice((1, 4, 4))
    pair = [scenes.draw_scene(rng, held_out, most) for _ in range(2)]
    if most == 1 and rng.random() < 0.4:
        pair[1] = _draw_like(pair[0], rng, held_out)
    images = tuple(scenes.paint(scene, rng) for scene in pair)
    return Lesson(images, tuple(pair), tuple(about_scenes(pair, rng) for _ in range(questions)))


def _draw_like(scene: Scene, rng: random.Random, held_out: bool) -> Scene:
    """One thing that shares its colour or its shape with the one thing in `scene`."""
    thing = scene.things[0]
    while True:
        other = scenes.draw_scene(rng, held_out, most=1)
        if other.count(thing.colour) or other.count(thing.shape):
            return other


def _draw_mixed(rng: random.Random, held_out: bool, questions: int, bend: float) -> Lesson:
    scan = rng.choice(digits.scans(held_out))
    scene = scenes.draw_scene(rng, held_out, most=3)
    shown: list[tuple[int | Scene, str]]
    shown = [(scan.digit, f"the digit {scan.digit}"), (scene, describe(scene))]
    rng.shuffle(shown)
    images = tuple(
        scenes.paint(subject, rng) if isinstance(subject, Scene) else digits.draw(scan, rng, bend)
        for subject, _ in shown
    )
    pairs = []
    for _ in range(questions):
        which, (_, words) = rng.choice(list(zip(ORDINALS, shown, strict=False)))
        question = rng.choice(("What is in the {} image?", "What does the {} image show?"))
        pairs.append(Pair(question.format(which), f"The {which} image shows {words}."))
    return Lesson(images, tuple(subject for subject, _ in shown), tuple(pairs))
