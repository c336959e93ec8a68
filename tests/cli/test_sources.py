"""Where a simulation's requests come from: files of both formats, and draws."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from modserve.cli.redrawing import sources_of
from modserve.cli.sources import Wanted, source_of
from modserve.cli.workloads import Unreadable
from modserve.scheduler.workload.arrivals import Arrival
from modserve.scheduler.workload.traces import BadTrace

AZURE = """\
arrival_s,num_images,context_tokens,generated_tokens,num_images_raw,trace_offset_s,source_row
100.0,1,1300,9,1,74192.709,150629
101.0,0,40,2,0,74192.769,150630
103.0,0,500,9,0,74192.785,150631
"""
SERVEGEN = """\
arrival_s,client,num_images,text_tokens,generated_tokens,image_tokens_each
2.55,12,2,2179,45,175|6
2.55,14,0,50,19,
4.156,13,1,0,0,252
"""
DRAWN = Wanted(
    seed=0,
    trace=None,
    start=None,
    duration=None,
    num_prompts=None,
    request_rate=10.0,
    burstiness=1.0,
    input_len="64-128",
    output_len="8",
    image_share=0.5,
    images_per_request="1",
    image_size=None,
)


@pytest.fixture
def azure(tmp_path: Path) -> Wanted:
    file = tmp_path / "azure.csv"
    file.write_text(AZURE)
    return replace(DRAWN, trace=file)


def times(found: Iterator[Arrival]) -> list[float]:
    return [one.at_s for one in found]


def test_a_trace_is_read_as_often_as_it_begins(azure: Wanted) -> None:
    source = source_of(azure)
    assert source.name == "azure.csv"
    first = list(source.begin())
    assert first == list(source.begin())
    assert times(iter(first)) == [0.0, 1.0, 3.0]
    assert [len(one.images) for one in first] == [1, 0, 0]
    (note,) = source.notes
    assert note.startswith("Azure LMM 2025: rows tell no image sizes, they are drawn: ServeGen's")


def test_drawn_sizes_are_those_of_the_seed(azure: Wanted) -> None:
    same, other = source_of(azure), source_of(replace(azure, seed=1))
    assert next(same.begin()).images != next(other.begin()).images
    given = source_of(replace(azure, image_size="448x336"))
    assert next(given.begin()).images == ((448, 336),)
    assert given.notes[0].endswith("they are drawn: 448x336.")


def test_a_packed_trace_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    (file := tmp_path / "servegen").write_bytes(gzip.compress(SERVEGEN.encode()))
    source = source_of(replace(DRAWN, trace=file))
    assert [one.text_tokens for one in source.begin()] == [2179, 50, 1]
    assert source.notes == []


def test_a_part_of_a_trace(azure: Wanted) -> None:
    part = source_of(replace(azure, start="1s", duration="1s"))
    assert [(one.at_s, one.text_tokens) for one in part.begin()] == [(0.0, 40)]
    assert times(source_of(replace(azure, duration="2s")).begin()) == [0.0, 1.0]


def test_a_trace_that_is_too_short_begins_again(azure: Wanted) -> None:
    found = times(source_of(replace(azure, num_prompts=5)).begin())
    assert found == [0.0, 1.0, 3.0, 4.5, 5.5]  # a mean gap between the two
    assert times(source_of(replace(azure, num_prompts=2)).begin()) == [0.0, 1.0]


def test_a_workload_may_be_drawn() -> None:
    found = list(source_of(DRAWN).begin())
    assert len(found) == 1000
    assert found[-1].at_s == pytest.approx(100, rel=0.2)
    assert {len(one.images) for one in found} == {0, 1}
    assert found == list(source_of(DRAWN).begin())
    assert found != list(source_of(replace(DRAWN, seed=1)).begin())


@pytest.mark.slow
def test_twenty_thousand_requests_take_no_more_memory_than_ten(azure: Wanted) -> None:
    for wanted in (azure, DRAWN):
        source = source_of(replace(wanted, num_prompts=20_000))
        tracemalloc.start()
        assert sum(1 for _ in source.begin()) == 20_000
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 2**20


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("context_tokens", "tokens", "line 1: expected a column context_tokens, got arrival_s, "),
        ("103.0", "-1", "line 4, column arrival_s: expected a number of seconds, 101 or more, got"),
        ("103.0", "50.5", "line 4, column arrival_s: .* 101 or more, got 50.5"),
        ("500,9", "500", "line 4: expected 7 columns, got 6"),
        (AZURE[AZURE.index("100.0") :], "", "expected rows under the names of the columns"),
        (AZURE, "", "expected a line that names the columns, got an empty trace"),
    ],
)
def test_a_bad_trace_says_in_which_file_and_where(
    azure: Wanted, old: str, new: str, expected: str
) -> None:
    assert azure.trace is not None
    azure.trace.write_text(AZURE.replace(old, new))
    with pytest.raises(BadTrace, match=f"^{azure.trace}: {expected}"):
        list(source_of(azure).begin())


def test_a_trace_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"cannot read the trace .*/none\.csv: "):
        source_of(replace(DRAWN, trace=tmp_path / "none.csv"))


def test_sizes_are_not_given_twice(tmp_path: Path) -> None:
    (file := tmp_path / "servegen.csv").write_text(SERVEGEN)
    with pytest.raises(typer.BadParameter, match=r"no --image-size: servegen\.csv tells sizes"):
        source_of(replace(DRAWN, trace=file, image_size="448x448"))


def test_repeats_of_a_long_trace_are_stretches_of_it(azure: Wanted) -> None:
    found = sources_of(replace(azure, num_prompts=1, image_size="448x336"), 3)
    assert [[one.text_tokens for one in source.begin()] for source in found] == [[195], [40], [500]]
    assert all(times(source.begin()) == [0.0] for source in found)
    assert found[0].notes[-1] == "azure.csv: 3 stretches of it, 1 requests each."


def test_repeats_of_a_short_trace_are_drawn_in_blocks(azure: Wanted) -> None:
    found = sources_of(replace(azure, num_prompts=50), 2)
    first, other = (list(source.begin()) for source in found)
    assert len(first) == len(other) == 50
    assert first != other
    assert first == list(found[0].begin())
    assert "2 draws of blocks of a tenth of its time" in found[0].notes[-1]


def test_repeats_of_what_is_drawn_have_other_seeds() -> None:
    first, other = sources_of(replace(DRAWN, num_prompts=9), 2)
    assert list(first.begin()) != list(other.begin())
    assert list(other.begin()) == list(source_of(replace(DRAWN, num_prompts=9, seed=1)).begin())
