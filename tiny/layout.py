"""The checkpoint folder: a LLaVA-OneVision of 2.4 million weights.

Weights are stored in float16 to halve the folder; the configuration says float32, which is what
`transformers` and the server then compute in. Training rounds the weights before it tests them.
"""

import json
from pathlib import Path

import torch
from transformers import (
    GenerationConfig,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessorPil,
    PreTrainedTokenizerFast,
    Qwen2Config,
    SiglipVisionConfig,
)

from . import tokenizing

FOLDER = Path(__file__).parent / "checkpoint"
TILE, PATCH = 60, 20  # a patch for each place of a scene
PINPOINTS = [[TILE, TILE], [TILE, 2 * TILE], [2 * TILE, TILE]]  # (height, width)
WIDTH = 128  # of the text model
ASPECT = "anyres_max_4"


def make_image_processor() -> LlavaOnevisionImageProcessorPil:
    return LlavaOnevisionImageProcessorPil(
        size={"height": TILE, "width": TILE},
        image_grid_pinpoints=PINPOINTS,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlavaOnevisionForConditionalGeneration:
    number = tokenizer.get_vocab()
    vision = SiglipVisionConfig(
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        image_size=TILE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    text = Qwen2Config(
        vocab_size=tokenizing.VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        initializer_range=WIDTH**-0.5,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=number[tokenizing.END],
        pad_token_id=number[tokenizing.PAD],
    )
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=number[tokenizing.IMAGE],
        video_token_index=number[tokenizing.VIDEO],
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        vision_aspect_ratio=ASPECT,
        image_grid_pinpoints=PINPOINTS,
        tie_word_embeddings=True,
    )
    model = LlavaOnevisionForConditionalGeneration(config)
    # At the default scale places drown among pixels.
    torch.nn.init.normal_(model.model.vision_tower.embeddings.position_embedding.weight, std=0.3)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=[number[tokenizing.END], number[tokenizing.PAD]],
        pad_token_id=number[tokenizing.PAD],
        max_new_tokens=64,
        do_sample=False,
    )
    return model


@torch.no_grad()
def round_weights(model: torch.nn.Module) -> None:
    """To the values that the folder can hold."""
    for weight in model.parameters():
        weight.copy_(weight.half())


def save(
    model: LlavaOnevisionForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
) -> None:
    """Leaves `model` in float32, with its weights rounded."""
    round_weights(model)
    model.half().save_pretrained(folder)  # type: ignore[no-untyped-call]
    (folder / "model.safetensors").chmod(0o644)  # transformers makes it private
    model.float().config.dtype = torch.float32  # type: ignore[no-untyped-call]
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    make_image_processor().save_pretrained(folder)
    _save_processor_config(folder)


def _save_processor_config(folder: Path) -> None:
    """What `LlavaOnevisionProcessor` reads, where its video half can be imported."""
    settings = {
        "processor_class": "LlavaOnevisionProcessor",
        "image_token": tokenizing.IMAGE,
        "video_token": tokenizing.VIDEO,
        "num_image_tokens": (TILE // PATCH) ** 2,
        "vision_feature_select_strategy": "full",
        "vision_aspect_ratio": ASPECT,
    }
    (folder / "processor_config.json").write_text(json.dumps(settings, indent=2) + "\n")
