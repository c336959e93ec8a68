"""What the schedule needs to know of a model: sizes and special ids, no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .geometry.choosing import TEXT_ONLY, WITH_IMAGES
from .geometry.fields import BadConfig, Config, positive, section

# What transformers takes where a config.json leaves a field out.
_LLAMA = MappingProxyType(
    {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2048,
    }
)
_DEFAULTS: MappingProxyType[str, Mapping[str, int]] = MappingProxyType(
    {
        "llama": _LLAMA,
        "qwen2": {
            **_LLAMA,
            "vocab_size": 151936,
            "num_key_value_heads": 32,
            "max_position_embeddings": 32768,
        },
        "mllama_text_model": {
            **_LLAMA,
            "vocab_size": 128256,
            "num_hidden_layers": 40,
            "num_key_value_heads": 8,
            "max_position_embeddings": 131072,
        },
    }
)
_CROSS_LAYERS = (3, 8, 13, 18, 23, 28, 33, 38)
_IMAGE_TOKEN = MappingProxyType({"llava_onevision": 151646, "mllama": 128256})
_TEXT_FAMILY = MappingProxyType({"llava_onevision": "qwen2", "mllama": "mllama_text_model"})


@dataclass(frozen=True, slots=True)
class ModelFacts:
    family: str
    vocabulary: int  # rows of the head; mllama's image token lies beyond it
    context: int  # positions of prompt and answer together
    hidden: int
    layers: int  # with self-attention, so with KV per token
    cross_layers: int  # with cross-attention, so with K and V per embedding row
    kv_heads: int
    head_dim: int
    eos_ids: frozenset[int]
    image_token_id: int | None  # None: the family takes no images

    def kv_bytes_per_token(self, dtype_bytes: int) -> int:
        return 2 * self.layers * self.kv_heads * self.head_dim * dtype_bytes

    def embedding_bytes_per_row(self, dtype_bytes: int) -> int:
        return self.hidden * dtype_bytes

    def cross_bytes_per_row(self, dtype_bytes: int) -> int:
        """K and V of one embedding row in all cross-attention layers; 0 for decoder-only."""
        return 2 * self.cross_layers * self.kv_heads * self.head_dim * dtype_bytes


def facts_of(config: Config, generation: Config) -> ModelFacts:
    """From the contents of config.json and generation_config.json ({} where there is none).

    Raises BadConfig, with one sentence, for a family or a size that cannot be served.
    """
    family = family_of(config)
    text = section(config, "text_config") if family in WITH_IMAGES else config
    text_family = text.get("model_type", _TEXT_FAMILY.get(family, family))
    if not isinstance(text_family, str) or text_family not in _DEFAULTS:
        known = ", ".join(_DEFAULTS)
        raise BadConfig(f"expected a text model of a known family ({known}), got {text_family!r}")

    def size(name: str, default: int | None = None) -> int:
        return positive(text, name, _DEFAULTS[text_family].get(name, default or 0))

    heads, hidden = size("num_attention_heads"), size("hidden_size")
    # a null means the default here, unlike for the sizes: older files write it
    kv_heads = heads if _null(text, "num_key_value_heads") else size("num_key_value_heads", heads)
    head_dim = hidden // heads if _null(text, "head_dim") else size("head_dim", hidden // heads)
    cross = _ids(text.get("cross_attention_layers", _CROSS_LAYERS)) if family == "mllama" else []
    return ModelFacts(
        family=family,
        vocabulary=size("vocab_size"),
        context=size("max_position_embeddings"),
        hidden=hidden,
        layers=size("num_hidden_layers") - len(cross),
        cross_layers=len(cross),
        kv_heads=kv_heads,
        head_dim=head_dim,
        eos_ids=_eos_ids(generation, config, text),
        image_token_id=_image_token(config, family),
    )


def family_of(config: Config) -> str:
    family, known = config.get("model_type"), sorted(TEXT_ONLY | WITH_IMAGES.keys())
    if not isinstance(family, str) or family not in known:
        raise BadConfig(f"expected a model of a known family ({', '.join(known)}), got {family!r}")
    return family


def _null(config: Config, name: str) -> bool:
    return name in config and config[name] is None


def _eos_ids(*configs: Config) -> frozenset[int]:
    """The first that names any ends the search, generation_config.json before the rest."""
    for config in configs:
        if (found := config.get("eos_token_id")) is not None:
            return frozenset(_ids(found))
    return frozenset()


def _ids(value: object) -> list[int]:
    listed = list(value) if isinstance(value, list | tuple) else [value]
    ids = [one for one in listed if isinstance(one, int) and not isinstance(one, bool)]
    if len(ids) != len(listed):
        raise BadConfig(f"expected whole numbers for token or layer ids, got {value!r}")
    return ids


def _image_token(config: Config, family: str) -> int | None:
    if family not in WITH_IMAGES:
        return None
    # the name was image_token_index for years; new files use both
    for name in ("image_token_id", "image_token_index"):
        if config.get(name) is not None:
            return positive(config, name, 0)
    return _IMAGE_TOKEN[family]
