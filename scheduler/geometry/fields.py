"""Reading numbers out of a parsed config.json, with sentences for what is not there."""

from __future__ import annotations

from collections.abc import Mapping

Config = Mapping[str, object]


class BadConfig(ValueError):
    """A model's or an image processor's configuration that says no geometry; one sentence."""


def section(config: Config, name: str) -> Config:
    value = config.get(name)
    if not isinstance(value, Mapping):
        raise BadConfig(f"expected an object {name} in config.json, got {value!r}")
    return value


def positive(config: Config, name: str, default: int) -> int:
    """`default` is transformers' own: it leaves such values out of the files that it saves."""
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadConfig(f"expected a positive whole number for {name}, got {value!r}")
    return value


def tile_side(processor: Config, default: int) -> int:
    """The side of the square tiles that an image processor cuts."""
    for name in ("crop_size", "size"):
        size = processor.get(name)
        if isinstance(size, int):
            return size
        if isinstance(size, Mapping):
            name_of_side = "height" if "height" in size else "shortest_edge"
            return positive(size, name_of_side, default)
    return default


def agree(what: str, in_model: object, in_processor: object) -> None:
    if in_model != in_processor:
        raise BadConfig(
            f"expected the same {what} in config.json and in the image processor's configuration, "
            f"got {in_model} and {in_processor}"
        )
