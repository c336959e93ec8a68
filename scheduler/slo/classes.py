"""Classes of requests, by how long their first token and the ones behind it may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SloClass:
    """What requests that name it are promised."""

    name: str
    ttft_s: float  # to the first token, beside what its images add
    tpot_s: float  # between two tokens, on average over an answer
    image_token_s: float = 0.0  # that each image token adds to the time to the first token
    priority: int = 0  # lower goes first
    degrade_to: str | None = None  # the class for what this one cannot be promised; None: refuse

    def ttft_for(self, image_tokens: int) -> float:
        """An image costs by its tokens, so one number for all would be too long for a text, or
        too short for an image."""
        return self.ttft_s + self.image_token_s * image_tokens


# Somebody waits. 500 and 50 ms are the targets of Dynamo's planner (for an 8B model 500 and 30 ms
# are usual). 1 ms for an image token: two images of 400 tokens, the median of production traces,
# have 1.3 s then; EPDServe asks for 1.4 s with two images.
INTERACTIVE = SloClass("interactive", 0.5, 0.05, image_token_s=0.001, priority=0)

# MLPerf's server scenario for Qwen3-VL-235B allows 12 s end to end: 2 s, and 100 tokens behind.
STANDARD = SloClass("standard", 2.0, 0.1, image_token_s=0.002, priority=1, degrade_to="batch")

# Nobody waits. Nothing was published for it; these tell a slow system from one that stands still.
BATCH = SloClass("batch", 60.0, 1.0, image_token_s=0.01, priority=2)

CLASSES: dict[str, SloClass] = {one.name: one for one in (INTERACTIVE, STANDARD, BATCH)}
