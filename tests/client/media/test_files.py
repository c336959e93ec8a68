"""Files of strangers: what is one whole, still picture within the limits, and what is not."""

from __future__ import annotations

import random

import pytest

from modserve.client.media import BadMedia, Limits
from modserve.client.media.checking import check_picture

from .files import HOSTILE, KINDS, STRANGE, picture, png_of

LIMITS = Limits()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(name: str) -> None:
    with pytest.raises(BadMedia) as caught:
        check_picture(HOSTILE[name], LIMITS)
    assert caught.value.status in (413, 422)
    assert "0x" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's of odd metadata, as transport has it
@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_file_is_taken(name: str) -> None:
    assert check_picture(STRANGE[name], LIMITS) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_counted(kind: str) -> None:
    assert check_picture(picture(kind, (1001, 77)), LIMITS) == 1001 * 77


@pytest.mark.parametrize(
    ("limits", "data"),
    [
        (Limits(bytes=100), picture()),
        (Limits(pixels=90 * 60 - 1), picture()),
        (Limits(side=89), picture()),
        (Limits(ratio=10), png_of(101, 10)),
    ],
    ids=["bytes", "pixels", "side", "ratio"],
)
def test_a_limit_that_is_passed_has_a_status_of_its_own(limits: Limits, data: bytes) -> None:
    with pytest.raises(BadMedia, match="expected a picture of at most") as caught:
        check_picture(data, limits)
    assert caught.value.status == 413


def test_limits_are_exact() -> None:
    data = picture()
    check_picture(data, Limits(bytes=len(data), pixels=90 * 60, side=90, ratio=2))


@pytest.mark.parametrize("kind", KINDS)
def test_a_format_that_is_not_listed_is_refused(kind: str) -> None:
    others = tuple(other for other in KINDS if other != kind)
    with pytest.raises(BadMedia) as caught:
        check_picture(picture(kind), Limits(formats=others))
    assert caught.value.status == 422


@pytest.mark.parametrize("kind", KINDS)
def test_mangled_files_are_pictures_or_refused_and_nothing_else(kind: str) -> None:
    dice, whole, refused = random.Random(0), picture(kind), 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(min(len(data), 400))] = dice.randrange(256)
        try:
            check_picture(
                bytes(data[: dice.randrange(len(data)) if dice.random() < 0.3 else None]), LIMITS
            )
        except BadMedia:
            refused += 1
    assert refused > 60
