"""Frames of recorded reports: nothing to see, three workers, forty, and a scaling cluster."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, Group

from modserve.cli.top.frame import frame
from modserve.cli.top.glyphs import ASCII, BLOCKS
from modserve.cli.top.view import Sort, View

from .statuses import NAMES, seen

SEEN = {name: seen(name) for name in NAMES}


def lines(name: str, view: View | None = None, width: int = 80, height: int = 24) -> list[str]:
    return [line.plain for line in frame(SEEN[name], view or View(), width, height, BLOCKS)]


def test_the_recorded_reports_have_several_sizes() -> None:
    sizes = sorted(len(one.workers) for one in SEEN.values())
    assert sizes[0] == 0
    assert sizes[-1] >= 40
    assert len(sizes) >= 4


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_fits_into_80_by_24(name: str) -> None:
    told = frame(SEEN[name], View(), 80, 24, BLOCKS)
    assert len(told) <= 24
    assert max(line.cell_len for line in told) <= 80
    assert told[0].plain.startswith("modserve tcp://")
    assert told[-1].plain.startswith("q quit")


@given(
    st.sampled_from(NAMES),
    st.integers(1, 250),
    st.integers(1, 80),
    st.sampled_from(Sort),
    st.text(),
)
def test_a_frame_fits_into_any_screen(
    name: str, width: int, height: int, sort: Sort, trouble: str
) -> None:
    told = frame(
        replace(SEEN[name], trouble=" ".join(trouble.split())),
        View(sort, paused=True, selected="decode-7"),
        width,
        height,
        ASCII,
    )
    assert len(told) <= height
    assert all(line.cell_len <= width for line in told)


def test_three_workers_are_shown_with_their_stages_queues_and_memory() -> None:
    told = lines("three")
    (text,) = (line for line in told if line.startswith("text   ") and "ready" not in line)
    assert text.split()[1:4] == ["0", "1", "100%"]
    (pool,) = (line for line in told if line.startswith("text ") and "2 ready" in line)
    assert "49%" in pool
    assert any(line.startswith("  text-0    text    ready   98%       1+0") for line in told)
    assert told[3].startswith("caches    - of 0 prompt tokens found  0% of 10 images")


def test_the_selected_worker_is_among_those_that_there_is_room_for() -> None:
    told = lines("forty", View(selected="decode-9"))
    assert any(line.startswith("▸ decode-9 ") for line in told)
    (left_out,) = (line for line in told if " above, " in line)
    above, below = (int(word) for word in left_out.split() if word.isdigit())
    assert above + below + 5 == 40


def test_workers_are_sorted_by_their_numbers() -> None:
    told = lines("forty", View(Sort.NAME), height=60)
    names = [line.split()[0] for line in told if line.startswith("  decode-")]
    assert names == [f"decode-{number}" for number in range(16)]


def test_the_busiest_worker_comes_first_where_asked_for() -> None:
    told = lines("three", View(Sort.BUSY))
    names = [line.split()[0] for line in told if line.startswith("  ") and "-" in line.split()[0]]
    assert names == ["text-0", "encode-0", "text-1"]
    assert "s sort: busy" in told[-1]


def test_decisions_of_the_policy_are_told_with_their_reason() -> None:
    told = lines("scaled", width=120)
    assert any("grow encode: encode has 420 tokens waiting" in line for line in told)


def test_what_is_asked_and_what_was_done_take_the_place_of_the_keys() -> None:
    assert lines("three", View(asking="text-0"))[-1].startswith("drain text-0, so that it")
    assert lines("three", View(notice="text-0 has left"))[-1] == "text-0 has left"
    assert "PAUSED" in lines("three", View(paused=True))[0]


def test_an_old_frame_says_why_it_is_old() -> None:
    old = replace(SEEN["three"], trouble="expected a word of tcp://127.0.0.1:7700, got silence")
    told = [line.plain for line in frame(old, View(), 80, 24, BLOCKS)]
    assert told[1] == old.trouble


@pytest.mark.parametrize("name", NAMES)
def test_without_colour_and_beyond_ascii_nothing_is_missing(name: str) -> None:
    """What colour says is said in words or numbers as well, and bars have plain letters."""
    view = View(selected="text-0")
    told = frame(SEEN[name], view, 80, 24, ASCII)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, no_color=True, width=80, height=24)
    console.print(Group(*told))
    assert "\x1b[3" not in out.getvalue()
    assert all(line.plain.isascii() for line in told)
    if name == "three":
        assert "> text-0" in out.getvalue()
