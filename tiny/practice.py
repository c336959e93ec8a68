"""Dense practice for the text model: everything in the images, in every order, and counts.

A question has one thing to look up, at the end of a sentence; here nearly every word is one: the
shape of a colour, the colour at a place, the place of a shape. What nobody could know, such as
which thing comes next, is given and not asked: its noise would drown the rest. A small model
learns to look things up from this far sooner. Nobody asks for it afterwards.
"""

import random
from itertools import permutations

from .samples import Drill, Piece
from .things import COLOURS, PLACES, SHAPES, Scene, Thing

# Most begin with the shape: names begin with the colour, and teach finding by colour anyway.
ORDERS = tuple(permutations(("shape", "place", "colour")))
WEIGHTS = (2, 2, 2, 2, 1, 1)
COUNTED, TOLD = 7, 4  # words to count, sentences to tell


def recite(scenes: list[Scene], rng: random.Random) -> Drill:
    """Each thing in three words, in reading order or in any."""
    things = [(1 + index, thing) for index, scene in enumerate(scenes) for thing in scene.things]
    (order,), sorted_ = rng.choices(ORDERS, WEIGHTS), rng.random() < 0.4
    if not sorted_:
        rng.shuffle(things)
    pieces = []
    for image, thing in things:
        pieces.append(Piece(_where(image, scenes), sorted_))
        fitting = [_words(other) for other in scenes[image - 1].things]
        for kind in order:
            word = _words(thing)[kind]
            known = all(words[kind] == word for words in fitting)
            pieces.append(Piece(f" {word}", sorted_ or known))
            fitting = [words for words in fitting if words[kind] == word]
        pieces.append(Piece(",", sorted_))
    pieces[-1] = Piece(".", sorted_)
    asked = f"Recite {', '.join(order)}{' in order' if sorted_ else ''}."
    return Drill(asked, tuple(pieces))


def tell(scenes: list[Scene], rng: random.Random) -> Drill | None:
    """Sentences as answers have them, one after another."""
    image = rng.randrange(len(scenes))
    scene = scenes[image]
    facts: list[tuple[str, str]] = []  # what is given, what is asked
    for thing in scene.things:
        where, place = _split_place(thing.cell)
        if scene.count(thing.shape) == 1:
            facts += [(f"{thing.shape} is", thing.colour), (f"{thing.shape} is {where}", place)]
        if scene.count(thing.colour) == 1:
            facts.append((f"{thing.colour} shape is a", thing.shape))
        if scene.count(thing.name) == 1:
            facts.append((f"{thing.name} is {where}", place))
    if not facts:
        return None
    rng.shuffle(facts)
    pieces: list[Piece] = []
    for given, asked in facts[:TOLD]:
        given = f"{' ' if pieces else ''}The {given}"
        pieces += [Piece(given, False), Piece(f" {asked}"), Piece(".", False)]
    return Drill(f"Tell me about image {1 + image}.", tuple(pieces))


def count(scenes: list[Scene], rng: random.Random) -> Drill:
    pieces = []
    for _ in range(COUNTED):
        image = rng.randrange(len(scenes))
        shape, colour = rng.choice(SHAPES), rng.choice(tuple(COLOURS))
        if rng.random() < 0.6:  # something that is there
            thing = rng.choice(scenes[image].things)
            shape, colour = thing.shape, thing.colour
        word = shape if rng.random() < 0.6 else colour  # shapes are the harder ones
        noun = f"{word} shapes" if word in COLOURS else f"{word}s"
        pieces += [
            Piece(f"{_where(1 + image, scenes)} {noun}", False),
            Piece(f" {scenes[image].count(word)}"),
            Piece(",", False),
        ]
    return Drill("Count some.", (*pieces[:-1], Piece(".", False)))


def _words(thing: Thing) -> dict[str, str]:
    return {"colour": thing.colour, "shape": thing.shape, "place": _split_place(thing.cell)[1]}


def _split_place(cell: int) -> tuple[str, str]:
    """ "at the" and "top left"."""
    first, second, *rest = PLACES[cell].split()
    return f"{first} {second}", " ".join(rest)


def _where(image: int, scenes: list[Scene]) -> str:
    return f" image {image}" if len(scenes) > 1 else ""
