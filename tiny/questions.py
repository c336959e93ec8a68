"""Questions about one image, in varied words; the answers have one form each."""

import random
from collections.abc import Callable

from .samples import Pair
from .things import COLOURS, PLACES, SHAPES, Scene

READ_DIGIT = (
    "What is this?",
    "What digit is this?",
    "Which digit is this?",
    "What number is this?",
    "Which number is this?",
    "Which number is shown?",
    "Which digit is shown?",
    "What digit is shown?",
    "What digit is shown in the image?",
    "What digit do you see?",
    "What do you see?",
    "Read the digit.",
    "Read this digit.",
    "What is in this image?",
    "What is in the picture?",
    "What is written here?",
    "What is this digit?",
    "What is the number in the image?",
    "Describe the image.",
    "What does this image show?",
)
DESCRIBE = (
    "Describe the image.",
    "Describe this image.",
    "Describe the picture.",
    "What is in this image?",
    "What is in the picture?",
    "What is in the image?",
    "What do you see?",
    "What does this image show?",
    "What is this?",
)


def about_digit(digit: int, rng: random.Random) -> Pair:
    kind = rng.random()
    if kind < 0.7:
        return Pair(rng.choice(READ_DIGIT), f"This is the digit {digit}.")
    if kind < 0.85:
        guess = digit if rng.random() < 0.5 else rng.randrange(10)
        question = rng.choice(("Is this a {}?", "Is this the digit {}?", "Is it a {}?"))
        answer = "Yes" if guess == digit else "No"
        return Pair(question.format(guess), f"{answer}, it is the digit {digit}.")
    question = rng.choice(("Is this digit even or odd?", "Is the digit even or odd?"))
    return Pair(question, f"The digit {digit} is {('even', 'odd')[digit % 2]}.")


def about_scene(scene: Scene, rng: random.Random) -> Pair:
    while True:
        pair = rng.choice(SCENE_QUESTIONS)(scene, rng)
        if pair is not None:
            return pair


def describe(scene: Scene) -> str:
    return join([f"a {thing.name}".replace("a orange", "an orange") for thing in scene.things])


def join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def spell(rng: random.Random) -> str:
    return rng.choice(("colour", "color"))


def counted(number: int, noun: str) -> str:
    if number == 1:
        return f"There is 1 {noun}."
    return f"There are {number or 'no'} {noun}s."


def _describe(scene: Scene, rng: random.Random) -> Pair:
    return Pair(rng.choice(DESCRIBE), f"I see {describe(scene)}.")


def _count_all(scene: Scene, rng: random.Random) -> Pair:
    noun = rng.choice(("shape", "shape", "object"))
    question = rng.choice(("How many {}s are there?", "How many {}s are in the image?"))
    return Pair(question.format(noun), counted(len(scene.things), "shape"))


def _count_word(scene: Scene, rng: random.Random) -> Pair:
    thing = rng.choice(scene.things)
    words = [thing.shape, f"{thing.colour} shape"]
    if rng.random() < 0.2:
        words = [rng.choice(SHAPES), f"{rng.choice(tuple(COLOURS))} shape"]
    noun = rng.choice(words)
    question = rng.choice(
        (
            "How many {}s are there?",
            "How many {}s do you see?",
            "Count the {}s.",
            "How many {}s are in the image?",
        )
    )
    return Pair(question.format(noun), counted(scene.count(noun.removesuffix(" shape")), noun))


def _colour(scene: Scene, rng: random.Random) -> Pair | None:
    shapes = [shape for shape in SHAPES if scene.count(shape) == 1]
    if not shapes:
        return None
    thing = scene.only(rng.choice(shapes))
    question = rng.choice(
        (
            f"What {spell(rng)} is the {{}}?",
            f"Which {spell(rng)} is the {{}}?",
            f"What is the {spell(rng)} of the {{}}?",
        )
    )
    if len(scene.things) == 1 and rng.random() < 0.5:
        question = f"What {spell(rng)} is {rng.choice(('it', 'this', 'the shape'))}?"
    return Pair(question.format(thing.shape), f"The {thing.shape} is {thing.colour}.")


def _shape(scene: Scene, rng: random.Random) -> Pair | None:
    colours = [colour for colour in COLOURS if scene.count(colour) == 1]
    if not colours:
        return None
    thing = scene.only(rng.choice(colours))
    question = rng.choice(
        (
            "What shape is {}?",
            "Which shape is {}?",
            "What is {}?",
            "What is the {} shape?",
            "What shape is the {} one?",
        )
    )
    if len(scene.things) == 1 and rng.random() < 0.5:
        question = rng.choice(("What shape is this?", "Which shape is this?"))
    return Pair(question.format(thing.colour), f"The {thing.colour} shape is a {thing.shape}.")


def _place(scene: Scene, rng: random.Random) -> Pair | None:
    names = [t.name for t in scene.things if scene.count(t.name) == 1]
    names += [t.shape for t in scene.things if scene.count(t.shape) == 1]
    if not names:
        return None
    name = rng.choice(names)
    question = rng.choice(("Where is the {}?", "Where is the {} in the image?"))
    return Pair(question.format(name), f"The {name} is {PLACES[scene.only(name).cell]}.")


def _at_place(scene: Scene, rng: random.Random) -> Pair:
    thing = rng.choice(scene.things)
    question = rng.choice(("What is {}?", "Which shape is {}?", "What do you see {}?"))
    return Pair(question.format(PLACES[thing.cell]), f"A {thing.name}.".replace("A o", "An o"))


def _exists(scene: Scene, rng: random.Random) -> Pair:
    thing = rng.choice(scene.things)
    name = rng.choice((thing.shape, f"{thing.colour} shape"))
    if rng.random() < 0.5:
        name = rng.choice((rng.choice(SHAPES), f"{rng.choice(tuple(COLOURS))} shape"))
    named = f"{'an' if name.startswith('o') else 'a'} {name}"
    there = scene.count(name.removesuffix(" shape"))
    answer = f"Yes, there is {named}." if there else f"No, there is no {name}."
    return Pair(f"Is there {named}?", answer)


SCENE_QUESTIONS: tuple[Callable[[Scene, random.Random], Pair | None], ...] = (
    _describe, _count_all, _count_word, _count_word, _colour, _shape, _place, _at_place,
    _exists,
)  # fmt: skip
