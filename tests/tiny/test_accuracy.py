from collections.abc import Iterable

import pytest

from modserve.tiny import comparisons, digits, scenes
from modserve.tiny.accuracy import Examinee
from modserve.tiny.samples import Sample

ENOUGH = 0.95
COUNT = 100
SEED = 1234  # not the seed of training's own report


def share(examinee: Examinee, samples: Iterable[Sample]) -> float:
    verdicts = examinee.right(samples)
    assert len(verdicts) == COUNT
    return sum(verdicts) / COUNT


@pytest.mark.slow
def test_held_out_scans_are_read(examinee: Examinee) -> None:
    pytest.importorskip("sklearn", reason="the scans come with scikit-learn")
    assert share(examinee, digits.held_out(COUNT, SEED)) >= ENOUGH


@pytest.mark.slow
def test_questions_about_held_out_scenes_are_answered(examinee: Examinee) -> None:
    assert share(examinee, scenes.held_out(COUNT, SEED)) >= ENOUGH


@pytest.mark.slow
def test_several_images_are_compared(examinee: Examinee) -> None:
    pytest.importorskip("sklearn", reason="the scans come with scikit-learn")
    assert share(examinee, comparisons.held_out(COUNT, SEED)) >= 0.9
