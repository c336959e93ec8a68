"""Random requests with their images' embeddings, and what transformers' own `generate` says.

Embeddings come from transformers' vision modules, one image at a time for mllama: what is under
test is the text half alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import BPE
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil
from transformers.models.mllama.processing_mllama import (
    convert_sparse_cross_attention_mask_to_dense,
    get_cross_attention_token_mask,
)

from modserve.transport.messages import Sampling
from modserve.worker.families.decoder_text import DecoderText
from modserve.worker.families.mllama_text import MllamaText
from modserve.worker.families.text import TextHalf
from modserve.worker.loading import load
from modserve.worker.text.generation import TextStage
from modserve.worker.text.kv import KvPool
from modserve.worker.text.text_work import Span, StepResult, TextTask
from modserve.worker.tokens.emission import Emission

IMAGE = -1  # stands for an image in a request's pattern of token ids


@dataclass(frozen=True)
class Request:
    task: TextTask
    embeddings: tuple[Tensor, ...]
    expected: tuple[int, ...]


class Checkpoint:
    """One folder, in transformers and in a text half."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        loaded = load(folder, frozenset({"prefill", "decode"}), dtype="float32")
        assert loaded.text is not None
        assert loaded.lm_head is not None
        self.config = loaded.config
        self.family = loaded.family
        self.lm_head = loaded.lm_head
        self.half = text_half(loaded.family, loaded.config, loaded.text)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.reference = reference(folder, loaded.family)

    def stage(
        self,
        *,
        blocks: int = 256,
        block_size: int = 16,
        step_tokens: int = 512,
        cached_blocks: int = 0,
    ) -> TextStage:
        pool = KvPool(
            self.half.kv_shape,
            blocks=blocks,
            block_size=block_size,
            dtype=torch.float32,
            device=torch.device("cpu"),
        )
        return TextStage(
            self.half,
            self.lm_head,
            pool,
            self.tokenizer,
            eos_ids=frozenset(),
            step_tokens=step_tokens,
            cached_blocks=cached_blocks,
        )

    def request(
        self, pattern: Sequence[int], sizes: Sequence[tuple[int, int]] = (), *, tokens: int = 12
    ) -> Request:
        """`pattern`: token ids, with IMAGE for each of the images of `sizes` (width, height)."""
        made = REQUESTS[self.family](self, pattern, sizes)
        with torch.no_grad():
            out = self.reference.generate(
                **made.inputs,
                attention_mask=torch.ones_like(made.inputs["input_ids"]),
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                eos_token_id=None,
                do_sample=False,
            )
        task = TextTask(
            request_id="",
            token_ids=made.token_ids,
            prompt_length=len(made.token_ids),
            sampling=Sampling(max_tokens=tokens, seed=0, ignore_eos=True),
            order=0,
            spans=tuple(
                replace(span, key=_content(made.embeddings[span.image_index]))
                for span in made.spans
            ),
        )
        return Request(task, made.embeddings, tuple(out[0, len(made.token_ids) :].tolist()))


def _content(embedding: Tensor) -> str:
    return sha256(embedding.numpy().tobytes()).hexdigest()


@dataclass(frozen=True)
class Made:
    token_ids: tuple[int, ...]
    spans: tuple[Span, ...]
    embeddings: tuple[Tensor, ...]
    inputs: dict[str, Any]


def text_half(family: str, config: Any, text: Any) -> TextHalf:
    if family != "mllama":
        return DecoderText(text)
    vision = config.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    return MllamaText(text, tiles=vision.max_num_tiles, tile_rows=patches + 1)


def reference(folder: Path, family: str) -> Any:
    auto = AutoModelForCausalLM if family in ("qwen2", "llama") else AutoModelForImageTextToText
    return auto.from_pretrained(folder, dtype=torch.float32).eval()


def words(count: int, seed: int = 0) -> list[int]:
    """Token ids that no tokenizer of the tests gives a special meaning."""
    return torch.randint(0, 256, (count,), generator=torch.manual_seed(seed)).tolist()


def picture(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def plain(checkpoint: Checkpoint, pattern: Sequence[int], sizes: Sequence[Any]) -> Made:
    assert not sizes
    return Made(tuple(pattern), (), (), {"input_ids": torch.tensor([list(pattern)])})


def llava(checkpoint: Checkpoint, pattern: Sequence[int], sizes: Sequence[tuple[int, int]]) -> Made:
    if not sizes:
        return plain(checkpoint, pattern, sizes)
    processor: Any = LlavaOnevisionImageProcessorPil.from_pretrained(checkpoint.folder)
    inputs = processor(images=[[picture(*size) for size in sizes]], return_tensors="pt")
    count = torch.tensor([len(sizes)])
    with torch.no_grad():
        features = checkpoint.reference.get_image_features(
            pixel_values=inputs["pixel_values"],
            image_sizes=inputs["image_sizes"],
            batch_num_images=count,
        ).pooler_output
    ids, spans = expand(pattern, checkpoint.config.image_token_index, [len(f) for f in features])
    return Made(
        ids,
        spans,
        tuple(features),
        {
            "input_ids": torch.tensor([ids]),
            "pixel_values": inputs["pixel_values"],
            "image_sizes": inputs["image_sizes"],
            "batch_num_images": count,
        },
    )


def mllama(
    checkpoint: Checkpoint, pattern: Sequence[int], sizes: Sequence[tuple[int, int]]
) -> Made:
    if not sizes:
        return plain(checkpoint, pattern, sizes)
    token = checkpoint.config.image_token_index
    processor: Any = MllamaImageProcessorPil.from_pretrained(checkpoint.folder)
    inputs = processor(images=[[picture(*size) for size in sizes]], return_tensors="pt")
    ids, spans = expand(pattern, token, [1] * len(sizes))
    tiles = inputs["num_tiles"]
    mask = convert_sparse_cross_attention_mask_to_dense(
        [get_cross_attention_token_mask(list(ids), token)],
        num_tiles=tiles,
        max_num_tiles=checkpoint.config.vision_config.max_num_tiles,
        length=len(ids),
    )
    embeddings = [
        mllama_embedding(checkpoint.reference, picture(*size), processor) for size in sizes
    ]
    return Made(
        ids,
        tuple(replace(span, tiles=used) for span, used in zip(spans, tiles[0], strict=True)),
        tuple(embeddings),
        {
            "input_ids": torch.tensor([ids]),
            "pixel_values": inputs["pixel_values"],
            "aspect_ratio_ids": inputs["aspect_ratio_ids"],
            "aspect_ratio_mask": inputs["aspect_ratio_mask"],
            "cross_attention_mask": torch.from_numpy(mask),
        },
    )


def mllama_embedding(model: Any, image: Image.Image, processor: Any) -> Tensor:
    inputs = processor(images=[[image]], return_tensors="pt")
    with torch.no_grad():
        states = model.model.vision_model(
            pixel_values=inputs["pixel_values"],
            aspect_ratio_ids=inputs["aspect_ratio_ids"],
            aspect_ratio_mask=inputs["aspect_ratio_mask"],
        ).last_hidden_state
        rows: Tensor = model.model.multi_modal_projector(states).flatten(0, 3)
    return rows


REQUESTS: dict[str, Callable[[Checkpoint, Sequence[int], Sequence[tuple[int, int]]], Made]] = {
    "qwen2": plain,
    "llama": plain,
    "llava_onevision": llava,
    "mllama": mllama,
}


def expand(
    pattern: Sequence[int], token: int, lengths: Sequence[int]
) -> tuple[tuple[int, ...], tuple[Span, ...]]:
    ids: list[int] = []
    spans: list[Span] = []
    for item in pattern:
        if item == IMAGE:
            length = lengths[len(spans)]
            spans.append(Span(len(ids), length, image_index=len(spans)))
            ids += [token] * length
        else:
            ids.append(item)
    return tuple(ids), tuple(spans)


def named(request: Request, name: str, order: int = 0, **changes: Any) -> Request:
    return replace(request, task=replace(request.task, request_id=name, order=order, **changes))


def admit(stage: TextStage, request: Request) -> None:
    stage.admit(request.task)
    for index, embedding in enumerate(request.embeddings):
        stage.land(request.task.request_id, index, embedding)


def run(stage: TextStage, requests: Sequence[Request]) -> dict[str, tuple[int, ...]]:
    """Admit all at once and step until nothing runs; what each emitted."""
    for request in requests:
        admit(stage, request)
    return finish(stage)


def finish(stage: TextStage) -> dict[str, tuple[int, ...]]:
    out: dict[str, list[int]] = {}
    while not (result := stage.step()).idle:
        assert not result.preempted
        collect(result, out)
    return {name: tuple(tokens) for name, tokens in out.items()}


def collect(result: StepResult, out: dict[str, list[int]]) -> None:
    for progress in result.progress:
        if progress.token_id is not None:
            out.setdefault(progress.request_id, []).append(progress.token_id)


def silent_emission() -> Emission:
    """For sequences that never emit."""
    return Emission(Tokenizer(BPE()), Sampling(), frozenset())
