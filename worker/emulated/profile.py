"""What an emulated worker takes its times and sizes from: the costs of a replica, in a JSON file.

{"costs": {"encode": {"fixed_s": 0.004, "token_s": 2e-5},
           "text": {"fixed_s": 0.002, "weights_s": 0.008, "row_s": 1e-5,
                    "pair_s": 0, "context_s": 0},
           "link": {"latency_s": 0.001, "byte_s": 1e-9}},
 "kv_blocks": 4096}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ...scheduler.costs.costs import Costs


@dataclass(frozen=True, slots=True)
class Emulation:
    """A part that `costs` lacks takes no time."""

    costs: Costs = field(default_factory=Costs)
    kv_blocks: int = 0  # 0: as a real worker of the model would have them
    dtype: str = "float32"
    load_s: float = 0.0  # from Welcome to Ready


BUILT_IN = {"instant": Emulation()}


def emulation_of(profile: str) -> Emulation:
    """By its name, or from the file; raises ValueError with one sentence."""
    if profile in BUILT_IN:
        return BUILT_IN[profile]
    try:
        return msgspec.json.decode(Path(profile).read_bytes(), type=Emulation)
    except OSError as error:
        known = ", ".join(BUILT_IN)
        why = error.strerror or error
        raise ValueError(f"expected {known} or a profile's file, got {profile}: {why}") from error
    except msgspec.DecodeError as error:
        raise ValueError(f"expected a profile in {profile}, got: {error}") from error
