import random

import pytest
import torch

from modserve.tiny import layout, scenes, sight
from modserve.tiny.codes import NO_DIGIT, NOTHING, Codes, Labels, see
from modserve.tiny.imagination import imagine
from modserve.tiny.things import Scene, Thing
from modserve.tiny.train import make_student


@pytest.fixture(scope="module")
def codes() -> Codes:
    torch.manual_seed(0)
    return Codes(layout.WIDTH)


def test_what_is_written_is_read(codes: Codes) -> None:
    rng = random.Random(4)
    labels = Labels.of([see(scenes.draw_scene(rng, held_out=False)) for _ in range(50)])
    tokens = codes.write(labels)
    colours, shapes, digits = (scores.argmax(-1) for scores in codes.read(tokens))
    assert torch.equal(colours, labels.colours)
    assert torch.equal(shapes, labels.shapes)
    assert (digits == NO_DIGIT).all()
    assert codes.distance(tokens, labels) == 0
    assert sight.loss(codes, tokens, labels) < 0.1 < sight.loss(codes, tokens.flip(0), labels)


def test_a_picture_and_a_word_have_one_vector() -> None:
    student, tokenizer = make_student()
    weight = student.model.model.language_model.embed_tokens.weight
    number = tokenizer.get_vocab()
    labels = Labels.of([see(Scene((Thing("red", "star", 8),)))])
    token = student.codes.write(labels)[0, 8]
    words = [weight[number[f"\u0120{word}"]] for word in ("red", "star", "bottom", "right")]
    torch.testing.assert_close(token, torch.stack(words).sum(0))


def test_the_words_of_pictures_are_never_trained() -> None:
    student, tokenizer = make_student()
    weight = student.model.model.language_model.embed_tokens.weight
    weight.sum().backward()
    assert weight.grad is not None
    moved = weight.grad.abs().sum(1)
    number = tokenizer.get_vocab()
    assert moved[number["\u0120red"]] == moved[number["7"]] == 0
    assert moved[number["\u0120a"]] > 0


def test_larger_tiles_show_the_pieces_of_a_wide_image() -> None:
    """Of 120 x 60 pixels, one tile shows the left half and the other the right half."""
    scene = Scene((Thing("red", "star", 3), Thing("blue", "circle", 5)))
    whole, left, right = imagine(scene, (60, 120), True, random.Random(0))
    star, circle = whole.things[3], whole.things[5]
    assert star != circle
    assert (NOTHING, NOTHING) not in (star, circle)
    assert circle not in left.things
    assert star not in right.things
    assert star in left.things
    assert circle in right.things
