"""Prompts become turns, and images frames, in the order in which they were named."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from modserve.client.errors import BadInput
from modserve.client.prompts import Files, turns_of
from modserve.transport.messages import ImagePart, TextPart, Turn
from modserve.transport.pictures import Picture, measure


def test_a_string_is_one_user_message_its_images_first() -> None:
    files = Files()
    turns = turns_of("What?", [b"a", bytearray(b"b"), memoryview(b"c")], files)
    images = (ImagePart(0), ImagePart(1), ImagePart(2))
    assert turns == (Turn("user", (*images, TextPart("What?"))),)
    assert files.frames == [b"a", b"b", b"c"]


def test_a_chat_names_its_images_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"b")
    files = Files()
    turns = turns_of(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "image", "image": b"a"}]},
            {"role": "assistant", "content": "Seven."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "And"},
                    {"type": "image", "image": str(tmp_path / "b.png")},
                    {"type": "text", "text": "this?"},
                ],
            },
        ],
        (),
        files,
    )
    assert turns == (
        Turn("system", (TextPart("Be brief."),)),
        Turn("user", (ImagePart(0),)),
        Turn("assistant", (TextPart("Seven."),)),
        Turn("user", (TextPart("And"), ImagePart(1), TextPart("this?"))),
    )
    assert files.frames == [b"a", b"b"]


def test_images_beside_one_plain_message_come_first() -> None:
    files = Files()
    turns = turns_of([{"role": "user", "content": "What?"}], [b"a"], files)
    assert turns == (Turn("user", (ImagePart(0), TextPart("What?"))),)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "1", "P", "CMYK"])
def test_a_pil_image_keeps_its_pixels(mode: str) -> None:
    picture = Image.radial_gradient("L").convert("RGB").convert(mode)
    files = Files()
    turns_of("What?", [picture], files)
    with Image.open(io.BytesIO(files.frames[0])) as sent:
        assert sent.convert("RGB").tobytes() == picture.convert("RGB").tobytes()


def test_a_pil_image_that_lies_on_its_side_says_so() -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (30, 20)).save(file, "JPEG", exif=exif)
    files = Files()
    with Image.open(file) as picture:
        turns_of("What?", [picture], files)
    assert measure(files.frames[0]) == Picture(20, 30, "PNG")


@pytest.mark.parametrize(
    ("prompt", "images", "expected"),
    [
        (7, (), "expected a string or a list of messages, got int"),
        ([], (), "got an empty list"),
        (["Hi"], (), "expected messages with a role and a content, got str"),
        ([{"role": "user"}], (), "expected messages with a role and a content, got a dict of role"),
        ([{"role": "", "content": "x"}], (), "expected a role"),
        ([{"role": "user", "content": []}], (), "expected a content of text and images"),
        ([{"role": "user", "content": [{"type": "video"}]}], (), "got a dict of type"),
        ([{"role": "user", "content": [{"type": "text", "text": 7}]}], (), '{"type": "text"'),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], [b"x"], "beside it"),
        ("Hi", "seven.png", "expected a list of images, got str"),
        ("Hi", b"pixels", "expected a list of images, got bytes"),
        ("Hi", [b""], "expected an image, got no bytes"),
        ("Hi", [7], "expected an image as a path, bytes or a PIL image, got int"),
        ("Hi", ["/nowhere/seven.png"], "cannot read image /nowhere/seven.png: No such file"),
        ("Hi", ["/"], "cannot read image /: Is a directory"),
    ],
)
def test_what_makes_no_request_is_one_sentence(prompt: Any, images: Any, expected: str) -> None:
    with pytest.raises(BadInput) as caught:
        turns_of(prompt, images, Files())
    assert expected in str(caught.value)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(BadInput, match=r"expected an image in .*empty\.png, got an empty file"):
        turns_of("Hi", [tmp_path / "empty.png"], Files())
