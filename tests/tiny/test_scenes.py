import random

from modserve.tiny import scenes
from modserve.tiny.questions import about_scene
from modserve.tiny.things import Scene, Thing


def kinds(scene: Scene) -> frozenset[str]:
    return frozenset(thing.name for thing in scene.things)


def test_no_combination_of_kinds_is_both_trained_on_and_held_out() -> None:
    rng = random.Random(1)
    trained = {kinds(scenes.draw_scene(rng, held_out=False)) for _ in range(3000)}
    tested = {kinds(scenes.draw_scene(rng, held_out=True)) for _ in range(3000)}
    assert not trained & tested


def test_a_seed_names_its_scenes() -> None:
    once = [(sample.question, sample.answer) for sample in scenes.held_out(20, seed=3)]
    again = [(sample.question, sample.answer) for sample in scenes.held_out(20, seed=3)]
    other = [(sample.question, sample.answer) for sample in scenes.held_out(20, seed=4)]
    assert once == again
    assert once != other


def test_counts_name_what_is_there() -> None:
    scene = Scene(
        (
            Thing("red", "star", 0),
            Thing("red", "star", 1),
            Thing("blue", "star", 2),
        )
    )
    assert [scene.count(word) for word in ("star", "red", "red star", "circle")] == [3, 2, 2, 0]
    assert scene.only("blue").cell == 2


def test_a_question_has_one_answer_whatever_is_asked_first() -> None:
    """The same question about the same scene never gets two different answers."""
    rng = random.Random(2)
    for _ in range(50):
        scene = scenes.draw_scene(rng, held_out=True)
        answers: dict[str, str] = {}
        for pair in (about_scene(scene, rng) for _ in range(60)):
            assert answers.setdefault(pair.question, pair.answer) == pair.answer
