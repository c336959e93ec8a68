"""Small random checkpoints in transformers' own layout, for tests and benchmarks.

Weights are drawn wider than transformers draws them and no gate is left at zero, so that greedy
text varies and depends on the pictures. Every keyword override is a field of the text config, of
the vision config (prefixed `vision_`, `vision_feature_*` and `vision_aspect_ratio` excepted) or of
the model config itself; `image_size`, `patch_size` and `tiles` / `image_grid_pinpoints` may be
given directly.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    MllamaConfig,
    MllamaForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

QWEN_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LLAVA_SPECIALS = (*QWEN_SPECIALS, "<image>", "<video>")
LLAMA_SPECIALS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|finetune_right_pad_id|>",
)
MLLAMA_SPECIALS = (*LLAMA_SPECIALS, "<|image|>")  # last: its id is the model's vocab_size

IMAGES_FIRST = (
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ 'IMAGE' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}"
)
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    + IMAGES_FIRST.replace("IMAGE", "<image>")
    + "{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_CHAT = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    + IMAGES_FIRST.replace("IMAGE", "<|image|>")
    + "{{ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def make_llava_onevision(folder: str | Path, seed: int = 0, **overrides: Any) -> Path:
    """Save a LlavaOnevisionForConditionalGeneration; returns the folder.

    Own keywords: `image_size`, `patch_size`, `image_grid_pinpoints`, `vision_aspect_ratio`,
    `vision_feature_layer`, `vision_feature_select_strategy`, `projector_hidden_act`, `tokenizer`.
    """
    folder = Path(folder)
    tokenizer = overrides.pop("tokenizer", None) or make_tokenizer(
        LLAVA_SPECIALS, chat=CHATML, eos="<|im_end|>", pad="<|endoftext|>"
    )
    image_size = overrides.pop("image_size", 28)
    pinpoints = overrides.pop("image_grid_pinpoints", grid(image_size, 3))
    own = {name: overrides.pop(name) for name in LLAVA_OWN if name in overrides}
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": image_size,
        "patch_size": overrides.pop("patch_size", 14),
        "vision_use_head": False,
    } | take_vision(overrides)
    tied = bool(overrides.pop("tie_word_embeddings", False))
    text = text_sizes(tokenizer) | {"model_type": "qwen2", "tie_word_embeddings": tied} | overrides
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=id_of(tokenizer, "<image>"),
        video_token_index=id_of(tokenizer, "<video>"),
        image_grid_pinpoints=pinpoints,
        tie_word_embeddings=tied,
        **own,
    )
    model = draw(LlavaOnevisionForConditionalGeneration, config, seed)
    save(model, tokenizer, folder)
    LlavaOnevisionImageProcessorPil(
        size={"height": image_size, "width": image_size},
        image_grid_pinpoints=pinpoints,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    ).save_pretrained(folder)
    side = image_size // vision["patch_size"]
    processor = {
        "processor_class": "LlavaOnevisionProcessor",
        "image_token": "<image>",
        "video_token": "<video>",
        "num_image_tokens": side * side,
        "vision_feature_select_strategy": config.vision_feature_select_strategy,
        "vision_aspect_ratio": config.vision_aspect_ratio,
    }
    (folder / "processor_config.json").write_text(json.dumps(processor, indent=2))
    return folder


def make_mllama(folder: str | Path, seed: int = 0, **overrides: Any) -> Path:
    """Save a MllamaForConditionalGeneration; returns the folder.

    Own keywords: `image_size` (of a tile), `patch_size`, `tiles` (the most per image),
    `cross_attention_layers`. The `<|image|>` id is `vocab_size`, outside the head, as in Llama 3.2.
    """
    folder = Path(folder)
    tokenizer = make_tokenizer(
        MLLAMA_SPECIALS, chat=LLAMA_CHAT, eos="<|eot_id|>", pad="<|finetune_right_pad_id|>"
    )
    image_size, tiles = overrides.pop("image_size", 28), overrides.pop("tiles", 4)
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_global_layers": 2,
        "attention_heads": 2,
        "intermediate_layers_indices": [0, 2],
        "image_size": image_size,
        "patch_size": overrides.pop("patch_size", 14),
        "max_num_tiles": tiles,
        "supported_aspect_ratios": tilings(tiles),
    } | take_vision(overrides)
    taps = 1 + len(vision["intermediate_layers_indices"])
    vision["vision_output_dim"] = vision["hidden_size"] * taps
    text = text_sizes(tokenizer) | {
        "vocab_size": tokenizer.convert_tokens_to_ids("<|image|>"),
        "num_hidden_layers": 4,
        "cross_attention_layers": [1, 3],
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }
    config = MllamaConfig(
        vision_config=vision,
        text_config=text | overrides,
        image_token_index=id_of(tokenizer, "<|image|>"),
    )
    save(draw(MllamaForConditionalGeneration, config, seed), tokenizer, folder)
    MllamaImageProcessorPil(
        size={"height": image_size, "width": image_size}, max_image_tiles=tiles
    ).save_pretrained(folder)
    return folder


def make_qwen2(folder: str | Path, seed: int = 0, **overrides: Any) -> Path:
    """Save a text-only Qwen2ForCausalLM; overrides are fields of Qwen2Config."""
    tokenizer = make_tokenizer(QWEN_SPECIALS, chat=CHATML, eos="<|im_end|>", pad="<|endoftext|>")
    config = Qwen2Config(**(text_sizes(tokenizer) | overrides))
    return save(draw(Qwen2ForCausalLM, config, seed), tokenizer, Path(folder))


def make_llama(folder: str | Path, seed: int = 0, **overrides: Any) -> Path:
    """Save a text-only LlamaForCausalLM; overrides are fields of LlamaConfig."""
    tokenizer = make_tokenizer(
        LLAMA_SPECIALS, chat=LLAMA_CHAT, eos="<|eot_id|>", pad="<|finetune_right_pad_id|>"
    )
    config = LlamaConfig(**(text_sizes(tokenizer) | overrides))
    return save(draw(LlamaForCausalLM, config, seed), tokenizer, Path(folder))


LLAVA_OWN = (
    "vision_aspect_ratio",
    "vision_feature_layer",
    "vision_feature_select_strategy",
    "projector_hidden_act",
)


def grid(size: int, side: int) -> list[list[int]]:
    """Every height × width of 1 to `side` tiles."""
    steps = [size * count for count in range(1, side + 1)]
    return [[height, width] for height in steps for width in steps]


def tilings(tiles: int) -> list[list[int]]:
    """mllama's aspect ratios: every grid of at most `tiles` tiles, in transformers' order."""
    sides = range(1, tiles + 1)
    return [[a, b] for a in sides for b in sides if a * b <= tiles]


def take_vision(overrides: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in overrides if name.startswith("vision_")]
    return {name.removeprefix("vision_"): overrides.pop(name) for name in names}


def text_sizes(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """A grouped-query text model; `vocab_size` is padded beyond the tokenizer, as Qwen2's is."""
    return {
        "vocab_size": -(-len(tokenizer) // 64) * 64,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


CORPUS = (
    "the quick brown fox jumps over the lazy dog while seven images wait for an answer",
    "What is in this picture? A red circle is left of a blue square. How many are there?",
    "Der Zug fährt um 12:45 Uhr ab, 日本語 と 한국어, naïve café, emoji 🙂🚀, x = 3.14 * r ** 2",
)


def make_tokenizer(
    specials: tuple[str, ...], *, chat: str, eos: str, pad: str
) -> PreTrainedTokenizerFast:
    """Byte-level BPE: 256 bytes, some merges, then the special tokens in the order given."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in specials])
    bos = {"bos_token": specials[0]} if specials[0] == "<|begin_of_text|>" else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=eos,
        pad_token=pad,
        additional_special_tokens=list(specials),
        chat_template=chat,
        clean_up_tokenization_spaces=False,
        **bos,
    )


def id_of(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    found: int = tokenizer.get_vocab()[token]
    return found


def draw(architecture: type[PreTrainedModel], config: Any, seed: int) -> PreTrainedModel:
    """A float32 model whose every parameter carries signal; the caller's random state is kept."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = architecture(config).float().eval()
        for name, parameter in model.named_parameters():
            draw_parameter(name, parameter)
    return model


def draw_parameter(name: str, parameter: nn.Parameter) -> None:
    """Widths that keep a residual stream of unit size and logits a few units apart."""
    if "gate" in name.rsplit(".", 1)[-1]:
        parameter.uniform_(0.4, 1.2)  # zero gates would make a model that ignores its pictures
    elif name.endswith(("norm.weight", "norm1.weight", "norm2.weight")) or "layernorm" in name:
        parameter.normal_(1.0 if name.endswith("weight") else 0.0, 0.1)
    elif "embed" in name or name.endswith(("newline", "class_embedding")):
        parameter.normal_(0.0, 0.6)
    elif parameter.dim() >= 2:
        parameter.normal_(0.0, 1.4 * parameter[0].numel() ** -0.5)
    else:
        parameter.normal_(0.0, 0.2)


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> Path:
    text = model.config.get_text_config()
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=text.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
