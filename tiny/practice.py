"""Dense practice for the text model: everything in the images, in every order, and counts.

A question has one thing to look up, at the end of a sentence; here nearly every word is one: the
shape of a colour, the colour at a place, the place of a shape. A small model learns to
look things up from this far sooner. Nobody asks for it afterwards.
"""

import random
from itertools import permutations

from .samples import Pair
from .things import COLOURS, PLACES, SHAPES, Scene

ORDERS = tuple(permutations(("colour", "shape", "place")))
COUNTED, TOLD = 6, 4  # words to count, sentences to tell


def recite(scenes: list[Scene], rng: random.Random) -> Pair:
    """Each thing in three words, in reading order or in any."""
    things = [(1 + index, thing) for index, scene in enumerate(scenes) for thing in scene.things]
    order, sorted_ = rng.choice(ORDERS), rng.random() < 0.4
    if not sorted_:
        rng.shuffle(things)
    phrases = []
    for image, thing in things:
        words = {"colour": thing.colour, "shape": thing.shape}
        words["place"] = PLACES[thing.cell].split(" the ")[1]
        phrases.append(_where(image, scenes) + " ".join(words[word] for word in order))
    asked = f"Recite {', '.join(order)}{' in order' if sorted_ else ''}."
    return Pair(asked, ", ".join(phrases) + ".")


def tell(scenes: list[Scene], rng: random.Random) -> Pair | None:
    """Sentences as answers have them, one after another."""
    image = rng.randrange(len(scenes))
    scene = scenes[image]
    sentences = []
    for thing in scene.things:
        place = PLACES[thing.cell]
        if scene.count(thing.shape) == 1:
            sentences += [f"The {thing.shape} is {thing.colour}.", f"The {thing.shape} is {place}."]
        if scene.count(thing.colour) == 1:
            sentences.append(f"The {thing.colour} shape is a {thing.shape}.")
        if scene.count(thing.name) == 1:
            sentences.append(f"The {thing.name} is {place}.")
    if not sentences:
        return None
    rng.shuffle(sentences)
    asked = f"Tell me about image {1 + image}."
    return Pair(asked, " ".join(sentences[:TOLD]))


def count(scenes: list[Scene], rng: random.Random) -> Pair:
    words = [*SHAPES, *COLOURS]
    phrases = []
    for _ in range(COUNTED):
        image = rng.randrange(len(scenes))
        word = rng.choice(words)
        if rng.random() < 0.5:  # something that is there
            thing = rng.choice(scenes[image].things)
            word = rng.choice((thing.shape, thing.colour))
        noun = f"{word} shapes" if word in COLOURS else f"{word}s"
        phrases.append(f"{_where(1 + image, scenes)}{noun} {scenes[image].count(word)}")
    return Pair("Count some.", ", ".join(phrases) + ".")


def _where(image: int, scenes: list[Scene]) -> str:
    return f"image {image} " if len(scenes) > 1 else ""
