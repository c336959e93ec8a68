"""How often the checkpoint answers exactly right, through `transformers` and nothing of ours."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    LlavaOnevisionForConditionalGeneration,
)

from . import comparisons, digits, scenes
from .samples import Sample
from .tokenizing import IMAGE


class Examinee:
    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.processor = AutoImageProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
        self.model: Any = LlavaOnevisionForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32
        )  # in evaluation mode already

    @torch.no_grad()
    def answer(self, samples: list[Sample]) -> list[str]:
        """All at once, greedily; prompts are padded on the left."""
        kwargs = self._look(samples)
        prompts = [self._prompt(sample) for sample in samples]
        if kwargs:
            prompts = self.expand(prompts, kwargs)
        self.tokenizer.padding_side = "left"
        tokens = self.tokenizer(prompts, return_tensors="pt", padding=True)
        output = self.model.generate(
            input_ids=tokens.input_ids,
            attention_mask=tokens.attention_mask,
            max_new_tokens=64,
            do_sample=False,
            **kwargs,
        )
        new = output[:, tokens.input_ids.shape[1] :]
        return [str(text) for text in self.tokenizer.batch_decode(new, skip_special_tokens=True)]

    def right(self, samples: Iterable[Sample]) -> list[bool]:
        verdicts: list[bool] = []
        rest = iter(samples)
        while some := list(islice(rest, 32)):
            answers = self.answer(some)
            verdicts += [a == sample.answer for a, sample in zip(answers, some, strict=True)]
        return verdicts

    def _prompt(self, sample: Sample) -> str:
        parts = [{"type": "image"} for _ in sample.images]
        content = [*parts, {"type": "text", "text": sample.question}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        render = self.tokenizer.apply_chat_template
        return str(render(messages, tokenize=False, add_generation_prompt=True))

    def _look(self, samples: list[Sample]) -> dict[str, torch.Tensor]:
        images = [list(sample.images) for sample in samples if sample.images]
        if not images:
            return {}
        return dict(self.processor(images=images, return_tensors="pt"))

    def expand(self, prompts: list[str], kwargs: dict[str, torch.Tensor]) -> list[str]:
        """One <image> becomes as many as the image has features."""
        features = iter(self.model.get_image_features(**kwargs).pooler_output)
        expanded = []
        for prompt in prompts:
            first, *rest = prompt.split(IMAGE)
            for part in rest:
                first += IMAGE * len(next(features)) + part
            expanded.append(first)
        return expanded


def report(folder: Path, count: int) -> dict[str, float]:
    """Prints and returns the share of exactly right answers for each sort of held-out sample."""
    examinee = Examinee(folder)
    sorts = {
        "held-out scans": digits.held_out(),
        "held-out scenes": scenes.held_out(count),
        "held-out comparisons": comparisons.held_out(count),
    }
    shares = {}
    for name, samples in sorts.items():
        verdicts = examinee.right(samples)
        shares[name] = sum(verdicts) / len(verdicts)
        print(f"{name:22s} {shares[name]:6.1%} of {len(verdicts)} answered exactly right")
    return shares
