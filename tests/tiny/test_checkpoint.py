from typing import Any

import pytest
import torch
from transformers import LlavaOnevisionForConditionalGeneration, SiglipVisionModel

from modserve.tiny.accuracy import Examinee
from modserve.tiny.layout import FOLDER
from modserve.tiny.samples import Sample

MOST_BYTES = 12_000_000


def test_the_folder_is_at_most_12_megabytes() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= MOST_BYTES


def test_transformers_computes_in_float32_unless_told_otherwise() -> None:
    model = LlavaOnevisionForConditionalGeneration.from_pretrained(FOLDER)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert isinstance(model.model.vision_tower, SiglipVisionModel)


@pytest.mark.parametrize("text", ["Hello", "žluťoučký kůň", "数字 7", "🙂👩‍👩‍👧", " \n\t x  y "])
def test_any_text_is_encoded_and_decoded_unchanged(examinee: Examinee, text: str) -> None:
    assert examinee.tokenizer.decode(examinee.tokenizer(text).input_ids) == text


def test_a_string_and_a_list_of_parts_give_the_same_prompt(examinee: Examinee) -> None:
    render: Any = examinee.tokenizer.apply_chat_template
    plain = [{"role": "user", "content": "Hello"}]
    parts = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    assert render(plain, tokenize=False) == render(parts, tokenize=False)


def test_the_template_puts_images_first_with_their_numbers_and_knows_every_role(
    examinee: Examinee,
) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image"}]},
        {"role": "assistant", "content": "A star."},
        {"role": "user", "content": "Where?"},
    ]
    render: Any = examinee.tokenizer.apply_chat_template
    rendered = render(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == (
        "<|im_start|>system\nBe brief.<|im_end|>"
        "<|im_start|>user\nImage 1:<image>\nWhat?<|im_end|>"
        "<|im_start|>assistant\nA star.<|im_end|>"
        "<|im_start|>user\nWhere?<|im_end|>"
        "<|im_start|>assistant\n"
    )


@pytest.mark.slow
def test_plain_talk_is_answered_and_ends(examinee: Examinee) -> None:
    talk = {
        "Hello": "Hello! Send me an image and ask me about it.",
        "What is the capital of France?": "The capital of France is Paris.",
        "What is 2 plus 3?": "2 plus 3 is 5.",
        "What is this?": "I see no image. Please send me one.",
    }
    samples = [Sample((), question, answer) for question, answer in talk.items()]
    assert examinee.answer(samples) == list(talk.values())
