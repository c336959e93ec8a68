"""Lines are gathered; what is urgent is written at once, behind what came before it."""

from __future__ import annotations

import logging
from io import BytesIO, TextIOWrapper

import pytest

from modserve.controller.logs import Gathering


@pytest.fixture
def written() -> BytesIO:
    return BytesIO()


@pytest.fixture
def log(written: BytesIO) -> logging.Logger:
    one = logging.Logger("test")
    one.addHandler(Gathering(TextIOWrapper(written)))
    return one


def test_a_line_of_a_request_waits_for_the_next_flush(
    log: logging.Logger, written: BytesIO
) -> None:
    log.info("a done")
    assert not written.getvalue()
    log.handlers[0].flush()
    assert written.getvalue() == b"a done\n"


def test_a_warning_is_written_at_once_and_in_its_place(
    log: logging.Logger, written: BytesIO
) -> None:
    log.info("a done")
    log.warning("b broke")
    assert written.getvalue() == b"a done\nb broke\n"


def test_a_log_that_nobody_reads_harms_nobody(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends no request."""

    class Closed(BytesIO):
        def write(self, data: object, /) -> int:
            raise BrokenPipeError

    log.handlers[0] = Gathering(TextIOWrapper(Closed()))
    log.warning("b broke")
    assert "BrokenPipeError" in capsys.readouterr().err
