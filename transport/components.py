"""Which components a checkpoint has, and a fingerprint of each: what decides how long it takes.

Shapes and settings count, weights do not: two models whose encoders differ in their weights alone
take the same time and share a profile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ..scheduler.costs.profile import Component
from .checkpoint import image_processor, read_config, read_facts, read_geometry

LABELS = frozenset(  # of a config.json: what changes nothing that takes time
    {
        *("_name_or_path", "architectures", "transformers_version", "dtype", "torch_dtype"),
        *("bos_token_id", "eos_token_id", "pad_token_id", "image_token_id", "image_token_index"),
        *("video_token_id", "video_token_index", "initializer_range", "use_cache"),
    }
)


def components(folder: Path) -> dict[Component, str]:
    """The fingerprint of each; raises BadCheckpoint."""
    read_facts(folder)  # whether it is one that can be served
    config = read_config(folder)
    text = config.get("text_config", config)
    found = {Component.TEXT: _digest(Component.TEXT, text)}
    if read_geometry(folder) is not None:
        vision = {name: value for name, value in config.items() if name != "text_config"}
        width = text.get("hidden_size")  # of an embedding's rows
        processor = image_processor(folder) or {}
        found[Component.PREPROCESS] = _digest(Component.PREPROCESS, processor)
        found[Component.ENCODE] = _digest(Component.ENCODE, {**vision, "hidden_size": width})
    return found


def _digest(component: Component, settings: Mapping[str, Any]) -> str:
    said = json.dumps([component, _unlabelled(settings)], sort_keys=True)
    return blake2b(said.encode(), digest_size=8).hexdigest()


def _unlabelled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unlabelled(one) for name, one in value.items() if name not in LABELS}
    return value
