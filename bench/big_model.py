"""A 7B LLaVA-OneVision of random bfloat16 weights, made on the device where it runs.

One set of weights: transformers' model owns it, the engine's halves share its tensors.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration

from modserve.tests.checkpoints import grid
from modserve.worker.alone import BLOCK_SIZE
from modserve.worker.families.decoder_text import DecoderText
from modserve.worker.families.llava_onevision_vision import LlavaOnevisionVision
from modserve.worker.loading import text_half, weightless
from modserve.worker.text.generation import TextStage
from modserve.worker.text.kv import KvPool
from modserve.worker.weights import one_name

from . import checkpoint

DTYPE = torch.bfloat16
QWEN2_7B: dict[str, Any] = {
    "vocab_size": 152_000,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
}
SO400M: dict[str, Any] = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 26,  # of 27: the checkpoint of LLaVA-OneVision leaves the last one out
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
}
TINY_TEXT: dict[str, Any] = {
    "vocab_size": checkpoint.VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
TINY_VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}


@dataclass(frozen=True, slots=True)
class BigModel:
    reference: Any  # transformers' model
    vision: LlavaOnevisionVision
    text: TextStage


def make(device: torch.device, *, kv_tokens: int, step_tokens: int, tiny: bool) -> BigModel:
    text_sizes, vision_sizes = (TINY_TEXT, TINY_VISION) if tiny else (QWEN2_7B, SO400M)
    config = LlavaOnevisionConfig(
        text_config={"model_type": "qwen2"} | text_sizes,
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False}
        | vision_sizes,
        image_grid_pinpoints=grid(vision_sizes["image_size"], 6),
        tie_word_embeddings=False,
    )
    reference = _random(config, device)
    with weightless():
        own: Any = deepcopy(config)
        vision = LlavaOnevisionVision(own, processor=None)  # tiles come ready-made
        text, head = text_half(own)
    _share(reference, {"": vision, "language_model.": text, "lm_head.": head}, device)
    half = DecoderText(text)
    pool = KvPool(
        half.kv_shape,
        blocks=-(-kv_tokens // BLOCK_SIZE),
        block_size=BLOCK_SIZE,
        dtype=DTYPE,
        device=device,
    )
    tokenizer = checkpoint.make_tokenizer(2_000).backend_tokenizer
    stage = TextStage(half, head, pool, tokenizer, eos_ids=frozenset(), step_tokens=step_tokens)
    return BigModel(reference, vision, stage)


def _random(config: Any, device: torch.device) -> Any:
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPE)
    try:
        with torch.device(device):
            model = LlavaOnevisionForConditionalGeneration(config).eval()
    finally:
        torch.set_default_dtype(before)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.02)
    model.generation_config.eos_token_id = None
    return model


def _share(reference: nn.Module, modules: dict[str, Any], device: torch.device) -> None:
    weights: dict[str, Tensor] = {
        one_name(name): weight.detach() for name, weight in reference.state_dict().items()
    }
    for prefix, module in modules.items():
        names = module.state_dict()
        shared = {name: weights[one_name(prefix + name)] for name in names}
        module.load_state_dict(shared, assign=True)
        module.to(device).eval().requires_grad_(False)  # the buffers
