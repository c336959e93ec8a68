"""Requests, and the tokens that transformers' own `generate` gives for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil
from transformers.models.mllama.processing_mllama import (
    convert_sparse_cross_attention_mask_to_dense,
    get_cross_attention_token_mask,
)

PROCESSORS: dict[str, Any] = {
    "llava_onevision": LlavaOnevisionImageProcessorPil,
    "mllama": MllamaImageProcessorPil,
}
IMAGE = -1  # stands for the image token in a list of ids

Size = tuple[int, int]


@dataclass(frozen=True)
class Ask:
    """A chat, or token ids; `images` are (width, height, seed) in the order of the prompt."""

    chat: tuple[dict[str, Any], ...] = ()
    ids: tuple[int, ...] = ()
    images: tuple[tuple[int, int, int], ...] = ()
    tokens: int = 16
    options: dict[str, Any] = field(default_factory=dict)


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed * 1_000_000 + width * 1000 + height)
    return Image.fromarray(noise.integers(0, 256, (height, width, 3), dtype=np.uint8))


def words(count: int, seed: int = 0) -> tuple[int, ...]:
    """Ids of bytes, which no tokenizer of the tests gives a special meaning."""
    return tuple(np.random.default_rng(seed).integers(0, 256, count).tolist())


def user(text: str, images: int = 0) -> dict[str, Any]:
    return {
        "role": "user",
        "content": [*({"type": "image"} for _ in range(images)), {"type": "text", "text": text}],
    }


class Reference:
    """A checkpoint in float32, as transformers loads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = AutoConfig.from_pretrained(folder)
        self.family: str = self.config.model_type
        sees = self.family in PROCESSORS
        auto = AutoModelForImageTextToText if sees else AutoModelForCausalLM
        self.model = auto.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.processor = PROCESSORS[self.family].from_pretrained(folder) if sees else None
        self.image_token: int | None = self.config.image_token_index if sees else None
        self._known: dict[tuple[Any, ...], tuple[int, ...]] = {}

    def prompt(self, ask: Ask) -> list[int]:
        """Ids with one image token per image."""
        if ask.ids:
            return [self.image_token or 0 if one == IMAGE else one for one in ask.ids]
        return list(self.tokenizer(self.text(ask), add_special_tokens=False)["input_ids"])

    def text(self, ask: Ask) -> str:
        """The chat as the template renders it."""
        return str(
            self.tokenizer.apply_chat_template(
                list(ask.chat), tokenize=False, add_generation_prompt=True
            )
        )

    def tokens(self, ask: Ask) -> tuple[int, ...]:
        """Exactly `ask.tokens` of them, greedily."""
        return self.after(self.prompt(ask), ask.images, ask.tokens)

    def after(
        self, ids: Sequence[int], images: Sequence[tuple[int, int, int]], tokens: int
    ) -> tuple[int, ...]:
        key = (tuple(ids), tuple(images))
        if len(self._known.get(key, ())) < tokens:
            self._known[key] = self._generate(list(ids), images, tokens)
        return self._known[key][:tokens]

    def _generate(
        self, ids: list[int], images: Sequence[tuple[int, int, int]], tokens: int
    ) -> tuple[int, ...]:
        pictures = [picture(*one) for one in images]
        inputs = self._inputs(ids, pictures)
        given = inputs["input_ids"]
        with torch.no_grad():
            out = self.model.generate(
                **inputs,
                attention_mask=torch.ones_like(given),
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                eos_token_id=None,
                do_sample=False,
            )
        return tuple(out[0, given.shape[1] :].tolist())

    def _inputs(self, ids: list[int], pictures: list[Image.Image]) -> dict[str, Any]:
        if not pictures:
            return {"input_ids": torch.tensor([ids])}
        assert self.processor is not None
        inputs = dict(self.processor(images=[pictures], return_tensors="pt"))
        return self._mllama(ids, inputs) if self.family == "mllama" else self._llava(ids, inputs)

    def _llava(self, ids: list[int], inputs: dict[str, Any]) -> dict[str, Any]:
        """Every image token becomes as many as transformers' model makes features."""
        count = torch.tensor([ids.count(self.image_token or 0)])
        with torch.no_grad():
            features = self.model.get_image_features(
                pixel_values=inputs["pixel_values"],
                image_sizes=inputs["image_sizes"],
                batch_num_images=count,
            ).pooler_output
        lengths = iter([len(one) for one in features])
        expanded: list[int] = []
        for token in ids:
            expanded += [token] * (next(lengths) if token == self.image_token else 1)
        return {
            "input_ids": torch.tensor([expanded]),
            "pixel_values": inputs["pixel_values"],
            "image_sizes": inputs["image_sizes"],
            "batch_num_images": count,
        }

    def _mllama(self, ids: list[int], inputs: dict[str, Any]) -> dict[str, Any]:
        assert self.image_token is not None
        mask = convert_sparse_cross_attention_mask_to_dense(
            [get_cross_attention_token_mask(ids, self.image_token)],
            num_tiles=inputs.pop("num_tiles"),
            max_num_tiles=self.config.vision_config.max_num_tiles,
            length=len(ids),
        )
        return {
            "input_ids": torch.tensor([ids]),
            **inputs,
            "cross_attention_mask": torch.from_numpy(mask),
        }
