"""What the model is asked: images, questions, and the one right answer to each."""

from dataclasses import dataclass

from PIL import Image

from .things import Scene


@dataclass(frozen=True)
class Sample:
    images: tuple[Image.Image, ...]
    question: str
    answer: str


@dataclass(frozen=True)
class Pair:
    """A question and its answer, without the images that they are about."""

    question: str
    answer: str


@dataclass(frozen=True)
class Lesson:
    """Several questions about the same images; no images for plain talk."""

    images: tuple[Image.Image, ...]
    subjects: tuple[int | Scene, ...]  # what each image shows: a digit or a scene
    pairs: tuple[Pair, ...]
