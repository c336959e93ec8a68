import random
from typing import Any, cast

import pytest
import torch
from PIL import Image
from torch.nn import functional

from modserve.tiny import chat, layout, scenes
from modserve.tiny.accuracy import Examinee
from modserve.tiny.codes import Codes
from modserve.tiny.imagination import imagine
from modserve.tiny.lessons import draw_lesson
from modserve.tiny.pictures import paint
from modserve.tiny.practice import recite
from modserve.tiny.questions import about_scene
from modserve.tiny.rows import BEND, IGNORED, Collator, Row
from modserve.tiny.samples import Drill, Lesson, Pair, Piece
from modserve.tiny.student import Lines, Student
from modserve.tiny.verdicts import about_scenes


def scene_lesson(rng: random.Random, images: int) -> Lesson:
    shown = [scenes.draw_scene(rng, held_out=False) for _ in range(images)]
    asked: list[Pair | Drill] = [
        about_scene(shown[0], rng) if images == 1 else about_scenes(shown, rng)
    ]
    asked += [recite(shown, rng) for _ in range(2)]
    return Lesson(tuple(shown), tuple(asked))


def asked_alone(
    examinee: Examinee, lesson: Lesson, images: list[Image.Image]
) -> list[torch.Tensor]:
    """The loss of each token that is asked for, through transformers' own forward."""
    looked = {}
    tokenizer: Any = examinee.tokenizer
    if images:
        looked = dict(examinee.processor(images=[images], return_tensors="pt"))
    losses = []
    for pair in lesson.pairs:
        content = [{"type": "image"}] * len(images)
        content += [{"type": "text", "text": pair.question}]
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        (prompt,) = examinee.expand([prompt], looked) if looked else (prompt,)
        first = tokenizer(prompt).input_ids
        answer, asked = [], []
        for piece in (*pair.pieces, Piece("<|im_end|>")):
            numbers = tokenizer(piece.text).input_ids
            answer += numbers
            asked += [piece.asked] * len(numbers)
        ids = torch.tensor(first + answer)
        logits = examinee.model(input_ids=ids[None], **looked).logits[0]
        each = functional.cross_entropy(
            logits[len(first) - 1 : -1], ids[len(first) :], reduction="none"
        )
        losses.append(each[torch.tensor(asked)])
    return losses


def make_collator(examinee: Examinee) -> Collator:
    return Collator(cast(Any, examinee.tokenizer), layout.make_image_processor())


def make_student(examinee: Examinee) -> Student:
    return Student(examinee.model, Codes(layout.WIDTH))


@pytest.mark.slow
@torch.no_grad()
def test_questions_side_by_side_cost_what_they_cost_alone(
    examinee: Examinee, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modserve.tiny.rows.SYSTEM_SHARE", 0.0)
    monkeypatch.setattr("modserve.tiny.rows.DIALOGUE_SHARE", 0.0)
    rng = random.Random(5)
    lessons = [scene_lesson(rng, images) for images in (1, 2, 1, 1, 2)]
    lessons.append(Lesson((), tuple(chat.draw(rng) for _ in range(4))))
    batch = make_collator(examinee).drawn(lessons, random.Random(9))
    together = make_student(examinee).answer(batch, progress=1.0)
    rng = random.Random(9)  # draws the same images once more
    images = [[paint(subject, rng, BEND) for subject in lesson.subjects] for lesson in lessons]
    alone = [
        loss
        for lesson, some in zip(lessons, images, strict=True)
        for loss in asked_alone(examinee, lesson, some)
    ]
    torch.testing.assert_close(together, torch.cat(alone).mean(), atol=1e-4, rtol=1e-4)


def test_an_image_that_is_imagined_has_the_tiles_of_one_that_is_drawn(examinee: Examinee) -> None:
    """Of all sizes: the same number of tiles, and so of tokens."""
    collator, rng = make_collator(examinee), random.Random(3)
    for seed in range(20):
        lessons = [draw_lesson(rng) for _ in range(4)]
        if not any(lesson.subjects for lesson in lessons):
            continue
        drawn = collator.drawn(lessons, random.Random(seed))
        subjects = [subject for lesson in lessons for subject in lesson.subjects]
        lone = [len(lesson.subjects) == 1 for lesson in lessons for _ in lesson.subjects]
        sizes = [(height, width) for height, width in drawn.sizes.tolist()]
        tiles = [
            imagine(subject, size, alone, rng)
            for subject, size, alone in zip(subjects, sizes, lone, strict=True)
        ]
        assert drawn.pixels is not None
        assert sum(map(len, tiles)) == len(drawn.pixels)


def test_rows_in_a_line_and_questions_in_a_row_do_not_see_each_other() -> None:
    def row(*segments: int) -> Row:
        ids = torch.arange(len(segments))
        return Row(ids, torch.full_like(ids, IGNORED), torch.tensor(segments))

    lines = Lines([row(0, 0, 1, 2, 2), row(0, 1, 1)])
    assert lines.ids.shape == (1, 8)
    assert lines.positions.tolist() == [[0, 1, 2, 2, 3, 0, 1, 2]]
    seen = [
        [column for column, allowed in enumerate(row) if allowed]
        for row in lines.mask()[0, 0].tolist()
    ]
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 3], [0, 1, 3, 4], [5], [5, 6], [5, 6, 7]]
