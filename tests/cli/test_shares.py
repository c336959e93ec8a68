"""The shares of a request's time add up, overlapping stages included."""

from __future__ import annotations

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from modserve.cli.options import seconds
from modserve.cli.shares import BAR, shares_of, table_of
from modserve.transport.messages import Timing

spans = st.floats(0, 1e3)


def timing(total_s: float, encode_s: float = 0.0, decode_s: float = 0.0) -> Timing:
    return Timing(
        ttft_s=None,
        total_s=total_s,
        prepare_s=0.0,
        encode_s=encode_s,
        queue_s=0.0,
        prefill_s=0.0,
        transfer_s=0.0,
        decode_s=decode_s,
        runs=1,
    )


@given(spans, spans, spans)
def test_shares_add_up(total_s: float, encode_s: float, decode_s: float) -> None:
    shares = shares_of(timing(total_s, encode_s, decode_s))
    assert all(share >= 0 for share in shares)
    assert sum(shares) == pytest.approx(1) or not (total_s + encode_s + decode_s)


def test_a_stage_has_its_share_and_what_is_left_is_other() -> None:
    assert shares_of(timing(4.0, encode_s=1.0, decode_s=2.0)) == [0.25, 0, 0, 0.5, 0.25]


@pytest.mark.parametrize("with_bar", [False, True])
def test_the_table_shows_them_with_a_bar_where_there_is_room(with_bar: bool) -> None:
    out = Console(width=120)
    with out.capture() as capture:
        rows = [("What is this?", timing(4.0, encode_s=1.0, decode_s=2.0))]
        out.print(table_of(rows, with_bar=with_bar))
    text = capture.get()
    assert "4000 ms" in text
    assert "25%" in text
    assert text.count("█") == BAR * with_bar


@pytest.mark.parametrize(
    ("text", "expected"),
    [("60s", 60), ("60", 60), ("1.5m", 90), ("500ms", 0.5), ("2h", 7200)],
)
def test_times_have_units(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "s", "-1s", "0", "0ms", "1d", "1 s", "nan"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected a time like 60s or 5m"):
        seconds(text)
