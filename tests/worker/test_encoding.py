"""The encode stage: every image that came in is answered, whatever a tower makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from PIL import Image
from torch import Tensor

from modserve.worker.encoding import EncodeStage, EncodeTask, Encoding
from modserve.worker.families.vision import Pixels

ROWS = 4


class Tower:
    """A row of zeros for each image; an image without a mode is more than it can take."""

    def preprocess(self, image: Image.Image, mode: str) -> Pixels:
        return Pixels(torch.zeros(1, 3, 2, 2), image.height, image.width, mode)

    def encode(self, batch: Sequence[Pixels]) -> list[Tensor]:
        return [torch.zeros({"fixed": ROWS}[pixels.mode], 2) for pixels in batch]


def task(key: str, mode: str = "fixed") -> EncodeTask:
    pixels = Tower().preprocess(Image.new("RGB", (2, 2)), mode)
    return EncodeTask(key, 1, pixels, image_tokens=ROWS)


@pytest.mark.parametrize("budget", [1, 100])
def test_an_image_that_a_tower_stumbles_over_takes_no_other_down(
    budget: int, caplog: pytest.LogCaptureFixture
) -> None:
    stage = EncodeStage(Tower(), budget)
    for one in (task("a"), task("b", mode="odd"), task("c")):
        stage.add(one)
    answers: dict[str, Encoding] = {}
    while made := stage.step():
        answers |= {one.key: one for one in made}
    assert {key: one.rows is not None for key, one in answers.items()} == {
        "a": True,
        "b": False,
        "c": True,
    }
    assert "odd" in answers["b"].error
    assert "encoding failed" in caplog.text
