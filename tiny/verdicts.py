"""Questions about several images.

A comparison names what it saw before it decides, so that the decision rests on words that stand
in the context instead of on one step of arithmetic inside the model.
"""

import random

from .questions import describe, join, spell
from .samples import Pair
from .things import Scene

ORDINALS = ("first", "second", "third", "fourth")


def about_digits(digits: list[int], rng: random.Random) -> Pair:
    """Of two to four images, one digit each."""
    if len(digits) == 2 and rng.random() < 0.7:
        return rng.choice((_same_digit, _same_digit, _larger_digit, _sum))(digits, rng)
    if rng.random() < 0.5:
        index = rng.randrange(len(digits))
        which = ORDINALS[index]
        question = rng.choice(
            (
                "What digit is in the {} image?",
                "What is in the {} image?",
                "What is the {} digit?",
                "Which digit is in the {} image?",
            )
        )
        return Pair(question.format(which), f"The {which} image shows the digit {digits[index]}.")
    question = rng.choice(
        (
            "Which digits are these?",
            "What digits are shown?",
            "Which digits are shown?",
            "Read the digits.",
            "What are these?",
            "What are these digits?",
            "What do you see?",
        )
    )
    return Pair(question, f"They are {join([str(digit) for digit in digits])}.")


def _both(digits: list[int]) -> str:
    return f"The first is {digits[0]} and the second is {digits[1]}"


def _same_digit(digits: list[int], rng: random.Random) -> Pair:
    question = rng.choice(
        (
            "Are the two digits the same?",
            "Are the digits the same?",
            "Is it the same digit?",
            "Are these the same digit?",
            "Do both images show the same digit?",
        )
    )
    same = "the same" if digits[0] == digits[1] else "different"
    return Pair(question, f"{_both(digits)}, so they are {same}.")


def _larger_digit(digits: list[int], rng: random.Random) -> Pair:
    question = rng.choice(
        (
            "Which digit is larger?",
            "Which number is larger?",
            "Which digit is bigger?",
            "Which image shows the larger digit?",
        )
    )
    first, second = digits
    verdict = "they are the same"
    if first != second:
        verdict = f"the {'first' if first > second else 'second'} is larger"
    return Pair(question, f"{_both(digits)}, so {verdict}.")


def _sum(digits: list[int], rng: random.Random) -> Pair:
    question = rng.choice(
        (
            "What is the sum of the digits?",
            "What is the sum of the two digits?",
            "Add the two digits.",
        )
    )
    return Pair(question, f"{digits[0]} plus {digits[1]} is {sum(digits)}.")


def about_scenes(scenes: list[Scene], rng: random.Random) -> Pair:
    """Of two images, one scene each."""
    if all(len(scene.things) == 1 for scene in scenes):
        return rng.choice((_same_colour, _same_shape, _in_image))(scenes, rng)
    return rng.choice((_more, _more, _in_image))(scenes, rng)


def _more(scenes: list[Scene], rng: random.Random) -> Pair:
    thing = rng.choice(rng.choice(scenes).things)
    noun = rng.choice((thing.shape, thing.shape, f"{thing.colour} shape", "shape"))
    word = noun.removesuffix(" shape")
    first, second = (s.count(word) if word != "shape" else len(s.things) for s in scenes)
    verdict = "they have the same number"
    if first != second:
        verdict = f"the {'first' if first > second else 'second'} image has more"
    question = rng.choice(
        ("Which image has more {}s?", "Which picture has more {}s?", "Where are more {}s?")
    )
    return Pair(
        question.format(noun), f"The first has {first} and the second has {second}, so {verdict}."
    )


def _in_image(scenes: list[Scene], rng: random.Random) -> Pair:
    index = rng.randrange(2)
    question = rng.choice(
        ("What is in the {} image?", "Describe the {} image.", "What does the {} image show?")
    )
    which = ORDINALS[index]
    return Pair(question.format(which), f"The {which} image shows {describe(scenes[index])}.")


def _same_colour(scenes: list[Scene], rng: random.Random) -> Pair:
    word = spell(rng)
    question = rng.choice(
        (
            f"Is the {word} the same?",
            f"Are the {word}s the same?",
            f"Do the shapes have the same {word}?",
        )
    )
    first, second = (scene.things[0].colour for scene in scenes)
    same = "the same" if first == second else "different"
    return Pair(question, f"The first is {first} and the second is {second}, so they are {same}.")


def _same_shape(scenes: list[Scene], rng: random.Random) -> Pair:
    question = rng.choice(
        ("Is the shape the same?", "Are the shapes the same?", "Are these the same shape?")
    )
    first, second = (scene.things[0].shape for scene in scenes)
    same = "the same" if first == second else "different"
    return Pair(
        question, f"The first is a {first} and the second is a {second}, so they are {same}."
    )
