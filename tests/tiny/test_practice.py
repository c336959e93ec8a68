import random

from modserve.tiny import practice, scenes
from modserve.tiny.questions import about_scene
from modserve.tiny.things import PLACES, Scene, Thing


def test_what_is_told_is_what_questions_would_be_answered() -> None:
    rng = random.Random(6)
    for _ in range(30):
        scene = scenes.draw_scene(rng, held_out=False)
        told = practice.tell([scene], rng)
        if told is None:
            continue
        answers = {about_scene(scene, rng).answer for _ in range(600)}
        for sentence in told.answer.removesuffix(".").split(". "):
            assert f"{sentence}." in answers


def test_a_recital_names_everything_once_and_in_order_if_asked() -> None:
    rng = random.Random(7)
    for _ in range(300):
        scene = scenes.draw_scene(rng, held_out=False)
        recited = practice.recite([scene], rng)
        phrases = [set(phrase.split()) for phrase in recited.answer.removesuffix(".").split(",")]
        shown = [
            {thing.colour, thing.shape, *PLACES[thing.cell].split(" the ")[1].split()}
            for thing in scene.things
        ]
        assert sorted(map(sorted, phrases)) == sorted(map(sorted, shown))
        if "in order" in recited.question:
            assert phrases == shown


def test_of_several_images_each_phrase_names_its_own() -> None:
    first, second = Scene((Thing("red", "star", 0),)), Scene((Thing("blue", "star", 0),))
    rng = random.Random(8)
    for _ in range(50):
        for phrase in practice.count([first, second], rng).answer.removesuffix(".").split(","):
            _, image, *noun, number = phrase.split()
            scene = (first, second)[int(image) - 1]
            assert scene.count(noun[0].removesuffix("s")) == int(number)


def test_only_what_can_be_known_is_asked() -> None:
    """Two red things of different shapes, one of them alone in its shape."""
    scene = Scene((Thing("red", "star", 0), Thing("red", "circle", 1), Thing("red", "circle", 2)))
    rng = random.Random(9)
    for _ in range(200):
        recited = practice.recite([scene], rng)
        if "in order" in recited.question:
            assert all(piece.asked for piece in recited.pieces)
            continue
        asked = {}
        for number, piece in enumerate(recited.pieces):
            words = [before.text for before in recited.pieces[number - number % 5 : number]]
            asked["".join(words), piece.text] = piece.asked
        assert asked.get((" red", " star")) is not True
        assert asked.get((" red", " circle")) is not True
        assert asked.get((" star", " red")) is not False
        assert asked.get((" star red", " top left")) is not False
        assert asked.get((" circle red", " top")) is not True
