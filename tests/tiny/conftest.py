import pytest

from modserve.tiny.accuracy import Examinee
from modserve.tiny.layout import FOLDER


@pytest.fixture(scope="session")
def examinee() -> Examinee:
    """The shipped checkpoint, as transformers loads it."""
    return Examinee(FOLDER)
