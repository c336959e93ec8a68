"""A model's sizes out of a parsed config.json of Hugging Face's."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from ..geometry.fields import BadConfig, Config, positive, section
from ..geometry.llava_onevision import TOWER_DEFAULTS, llava_onevision
from ..geometry.mllama import mllama
from .spec import Language, ModelSpec, Tower

# What transformers fills in where a file leaves a value out: layers, hidden, heads, kv heads,
# intermediate, vocabulary.
LANGUAGE_DEFAULTS = MappingProxyType(
    {
        "qwen2": (32, 4096, 32, 32, 22016, 151936),
        "llama": (32, 4096, 32, 32, 11008, 32000),
        "mllama_text_model": (40, 4096, 32, 8, 14336, 128256),
    }
)
ROWS_MULTIPLE = 8  # mllama pads a tile's rows to it
CROSS_LAYERS = (3, 8, 13, 18, 23, 28, 33, 38)


def spec_of(config: Config, name: str | None = None) -> ModelSpec:
    """BadConfig (a ValueError), with one sentence, where the sizes cannot be had from it.

    The image processor's file is not asked: where it contradicts config.json, a worker refuses
    the model.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in READERS:
        raise BadConfig(f"expected a model of {' or '.join(sorted(READERS))}, got {kind!r}")
    return READERS[kind](config, name or kind)


def read_llava_onevision(config: Config, name: str) -> ModelSpec:
    geometry = llava_onevision(config, processor_like(config))
    language = read_language(config, "qwen2")
    vision = section(config, "vision_config")
    hidden = positive(vision, "hidden_size", 768)
    _, _, class_token = TOWER_DEFAULTS[str(vision.get("model_type", "siglip_vision_model"))]
    tower = Tower(
        layers=positive(vision, "num_hidden_layers", 12),
        hidden=hidden,
        heads=positive(vision, "num_attention_heads", 12),
        intermediate=positive(vision, "intermediate_size", 3072),
        tile_side=geometry.tile,
        patch_side=geometry.tile // geometry.patches,
        patches=geometry.patches**2 + class_token,
        tile_tokens=geometry.patches**2,
    )
    return ModelSpec(name, language, tower, hidden * language.hidden + language.hidden**2, geometry)


def processor_like(config: Config) -> Config:
    """The image processor's configuration that agrees with the model's."""
    vision = section(config, "vision_config")
    kind = str(vision.get("model_type", "siglip_vision_model"))
    image_size = TOWER_DEFAULTS.get(kind, (224, 16, False))[0]
    side = positive(vision, "image_size", image_size)
    return {
        "size": {"height": side, "width": side},
        "image_grid_pinpoints": config.get("image_grid_pinpoints"),
    }


def read_mllama(config: Config, name: str) -> ModelSpec:
    vision = section(config, "vision_config")
    tiles, side = positive(vision, "max_num_tiles", 4), positive(vision, "image_size", 448)
    geometry = mllama(config, {"max_image_tiles": tiles, "size": {"height": side, "width": side}})
    language = read_language(config, "mllama_text_model")
    hidden = positive(vision, "hidden_size", 1280)
    tower = Tower(
        layers=positive(vision, "num_hidden_layers", 32) + positive(vision, "num_global_layers", 8),
        hidden=hidden,
        heads=positive(vision, "attention_heads", 16),
        intermediate=positive(vision, "intermediate_size", 5120),
        tile_side=side,
        patch_side=positive(vision, "patch_size", 14),
        patches=-(-geometry.tile_rows // ROWS_MULTIPLE) * ROWS_MULTIPLE,
        tile_tokens=geometry.tile_rows,
        joint_tiles=tiles,
    )
    output = positive(vision, "vision_output_dim", 7680)
    return ModelSpec(name, language, tower, output * language.hidden, geometry)


READERS: MappingProxyType[str, Callable[[Config, str], ModelSpec]] = MappingProxyType(
    {"llava_onevision": read_llava_onevision, "mllama": read_mllama}
)


def read_language(config: Config, usual: str) -> Language:
    text = section(config, "text_config")
    kind = text.get("model_type", usual)
    if not isinstance(kind, str) or kind not in LANGUAGE_DEFAULTS:
        known = ", ".join(sorted(LANGUAGE_DEFAULTS))
        raise BadConfig(f"expected a language model of {known}, got {kind!r}")
    layers, hidden, heads, kv_heads, intermediate, vocabulary = LANGUAGE_DEFAULTS[kind]
    hidden = positive(text, "hidden_size", hidden)
    heads = positive(text, "num_attention_heads", heads)
    return Language(
        layers=positive(text, "num_hidden_layers", layers),
        hidden=hidden,
        heads=heads,
        kv_heads=positive(text, "num_key_value_heads", kv_heads),
        head_dim=read_head_dim(text, hidden, heads),
        intermediate=positive(text, "intermediate_size", intermediate),
        vocabulary=positive(text, "vocab_size", vocabulary),
        tied=text.get("tie_word_embeddings", config.get("tie_word_embeddings")) is True,
        cross_layers=read_cross_layers(text) if kind == "mllama_text_model" else 0,
    )


def read_head_dim(text: Config, hidden: int, heads: int) -> int:
    if text.get("head_dim") is not None:
        return positive(text, "head_dim", 1)
    if hidden % heads:
        raise BadConfig(f"expected a hidden_size in multiples of {heads} heads, got {hidden}")
    return hidden // heads


def read_cross_layers(text: Config) -> int:
    listed = text.get("cross_attention_layers", CROSS_LAYERS)
    layers = positive(text, "num_hidden_layers", 40)
    if not isinstance(listed, list | tuple) or not set(listed) <= set(range(layers)):
        raise BadConfig(
            f"expected a list of layers below {layers} for cross_attention_layers, got {listed!r}"
        )
    return len(set(listed))
