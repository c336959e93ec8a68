import random
from typing import Any, cast

import pytest
import torch
from torch.nn import functional

from modserve.tiny import chat, layout, scenes
from modserve.tiny.accuracy import Examinee
from modserve.tiny.questions import about_scene
from modserve.tiny.rows import IGNORED, Collator, Row
from modserve.tiny.samples import Lesson
from modserve.tiny.student import Lines, Student
from modserve.tiny.verdicts import about_scenes


def scene_lesson(rng: random.Random, images: int) -> Lesson:
    shown = tuple(scenes.draw_scene(rng, held_out=False) for _ in range(images))
    ask = (
        (lambda: about_scene(shown[0], rng))
        if images == 1
        else lambda: about_scenes(list(shown), rng)
    )
    pictures = tuple(scenes.paint(scene, rng) for scene in shown)
    return Lesson(pictures, shown, tuple(ask() for _ in range(3)))


def asked_alone(examinee: Examinee, lesson: Lesson) -> list[torch.Tensor]:
    """The loss of each token of each answer, through transformers' own forward."""
    looked = {}
    tokenizer: Any = examinee.tokenizer
    if lesson.images:
        looked = dict(examinee.processor(images=[list(lesson.images)], return_tensors="pt"))
    losses = []
    for pair in lesson.pairs:
        content = [{"type": "image"}] * len(lesson.images)
        content += [{"type": "text", "text": pair.question}]
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        (prompt,) = examinee.expand([prompt], looked) if looked else (prompt,)
        first = torch.tensor(examinee.tokenizer(prompt).input_ids)
        answer = torch.tensor(examinee.tokenizer(f"{pair.answer}<|im_end|>").input_ids)
        logits = examinee.model(input_ids=torch.cat((first, answer))[None], **looked).logits[0]
        losses.append(
            functional.cross_entropy(logits[len(first) - 1 : -1], answer, reduction="none")
        )
    return losses


@pytest.mark.slow
@torch.no_grad()
def test_questions_side_by_side_cost_what_they_cost_alone(
    examinee: Examinee, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modserve.tiny.rows.SYSTEM_SHARE", 0.0)
    monkeypatch.setattr("modserve.tiny.rows.DIALOGUE_SHARE", 0.0)
    rng = random.Random(5)
    lessons = [scene_lesson(rng, images) for images in (1, 2, 1, 1, 2)]
    lessons.append(Lesson((), (), tuple(chat.draw(rng) for _ in range(4))))
    batch = Collator(cast(Any, examinee.tokenizer), layout.make_image_processor())(lessons, rng)
    together = Student(examinee.model).loss(batch, progress=1.0)
    alone = torch.cat([loss for lesson in lessons for loss in asked_alone(examinee, lesson)])
    torch.testing.assert_close(together, alone.mean(), atol=1e-4, rtol=1e-4)


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
