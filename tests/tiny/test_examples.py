from pathlib import Path

import pytest
from PIL import Image

from modserve.tiny.accuracy import Examinee
from modserve.tiny.samples import Sample

FOLDER = Path(__file__).parents[2] / "examples"


def listed() -> list[tuple[str, str, str]]:
    """(file names, question, answer) of each line of the table in examples/README.md."""
    lines = (FOLDER / "README.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return [(names, question, answer) for names, question, answer in rows[2:]]


def test_every_image_is_listed() -> None:
    files = {file.name for file in FOLDER.iterdir() if file.is_file()} - {
        "README.md",
        "modserve.toml",
    }
    assert files == {name for names, _, _ in listed() for name in names.split()}


@pytest.mark.slow
@pytest.mark.parametrize(("names", "question", "answer"), listed())
def test_an_example_is_answered_as_listed(
    examinee: Examinee, names: str, question: str, answer: str
) -> None:
    images = tuple(Image.open(FOLDER / name).convert("RGB") for name in names.split())
    assert examinee.answer([Sample(images, question, answer)]) == [answer]
