"""How many replicas to begin with (ModServe, SoCC 2025, section 4.2): Little's law.

The paper says of a model without history that both pools are over-provisioned, not by how much;
here it is twice the least, or the most where one is set.
"""

from __future__ import annotations

from math import ceil

from .limits import PoolLimits


def image_replicas(images_per_s: float, encode_s: float) -> int:
    """Median images per second x median seconds of encoding one: as many are in work at a time."""
    return max(1, ceil(images_per_s * encode_s))


def text_replicas(image_replicas: int, images_per_request: float) -> int:
    """The median of the images per request, of those that have some."""
    if not images_per_request > 0:
        raise ValueError(f"expected more than 0 images per request, got {images_per_request:g}")
    return max(1, ceil(image_replicas / images_per_request))


def without_history(limits: PoolLimits) -> int:
    return limits.most if limits.most is not None else limits.clip(2 * max(1, limits.least))
