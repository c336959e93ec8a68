"""What the model is asked: images, questions, and the one right answer to each."""

from dataclasses import dataclass

from PIL import Image

from .things import Subject


@dataclass(frozen=True)
class Sample:
    images: tuple[Image.Image, ...]
    question: str
    answer: str


@dataclass(frozen=True)
class Piece:
    """Of an answer: asked for, or given because nobody could know it."""

    text: str
    asked: bool = True


@dataclass(frozen=True)
class Pair:
    """A question and its answer, without the images that they are about."""

    question: str
    answer: str

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return (Piece(self.answer),)


@dataclass(frozen=True)
class Drill:
    """A question whose answer is given in part; the pieces part where words do."""

    question: str
    pieces: tuple[Piece, ...]

    @property
    def answer(self) -> str:
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class Lesson:
    """Several questions about the same subjects, one to an image; no subjects for plain talk."""

    subjects: tuple[Subject, ...]
    pairs: tuple[Pair | Drill, ...]
