"""Which family's arithmetic a model follows, from its parsed configuration files."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from .fields import BadConfig, Config
from .llava_onevision import llava_onevision
from .mllama import mllama
from .shape import Geometry

TEXT_ONLY = frozenset({"llama", "qwen2"})
WITH_IMAGES: MappingProxyType[str, Callable[[Config, Config], Geometry]] = MappingProxyType(
    {"llava_onevision": llava_onevision, "mllama": mllama}
)


def geometry_for(config: Config, processor: Config | None) -> Geometry | None:
    """None for a text-only family; BadConfig, with one sentence, where no geometry can be had.

    `config` is config.json; `processor` is preprocessor_config.json, or the `image_processor` part
    of processor_config.json. Rows follow the model's own packing, tiles the processor's cutting;
    where the two files contradict each other nothing could be served.
    """
    family = config.get("model_type")
    if family in TEXT_ONLY:
        return None
    if not isinstance(family, str) or family not in WITH_IMAGES:
        known = ", ".join(sorted(TEXT_ONLY | WITH_IMAGES.keys()))
        raise BadConfig(f"expected a model of a known family ({known}), got {family!r}")
    if processor is None:
        raise BadConfig(f"expected an image processor's configuration for {family}, got none")
    return WITH_IMAGES[family](config, processor)
