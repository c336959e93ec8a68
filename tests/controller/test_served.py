"""What was asked of a controller can be asked again: by numbers, in the order in which it came."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from modserve.cli.sources import traced
from modserve.cli.workloads import Unreadable
from modserve.controller import served
from modserve.controller.served import BEFORE, COLUMNS, NAME, Served
from modserve.scheduler.workload.arrivals import Arrival
from modserve.scheduler.workload.traces import BadTrace
from modserve.transport import messages as say

from .scripted import controller, conversation


def replayed(folder: Path) -> list[Arrival]:
    return list(traced(folder, 0, None, None, None).begin())


@conversation
async def test_what_a_controller_has_served_is_a_trace(tmp_path: Path) -> None:
    async with controller(journal=tmp_path) as scene:
        worker, client = scene.worker("encode", "text"), scene.client()
        await worker.join()
        for count, (name, tokens) in enumerate((("a", 3), ("b", 5)), 1):
            client.submit(name, "Hello")
            task = await worker.hear(say.Prefill, count)
            worker.step(task, 1)
            worker.step(task, tokens, finish="length")
            await client.hear(say.Ended, count)
        client.submit("c", "Hello", picture(64, 48))
        await worker.hear(say.Encode)
        client.say(say.Cancel("c"))
        await client.hear(say.Ended, 3)
    first, second, third = replayed(tmp_path)
    assert (first.at_s, first.output_tokens, first.images) == (0.0, 3, ())
    assert (second.text_tokens, second.output_tokens) == (first.text_tokens, 5)
    assert third.images == ((64, 48),)
    assert 0 <= second.at_s <= third.at_s


def test_lines_are_told_in_the_order_of_arrivals(tmp_path: Path) -> None:
    write(tmp_path, "1000.5,20,3,64x48|10x9\n", "1000.0,7,900,\n")
    assert replayed(tmp_path) == [
        Arrival(0.0, 7, 900),
        Arrival(0.5, 20, 3, ((64, 48), (10, 9))),
    ]


def test_a_full_file_takes_the_place_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "MOST_BYTES", 60)
    for second in range(20):
        write(tmp_path, f"{second}.000,{second + 1},1,\n")
    assert (tmp_path / BEFORE).exists()
    texts = [one.text_tokens for one in replayed(tmp_path)]
    assert texts == list(range(21 - len(texts), 21)) and 1 < len(texts) < 20


def test_a_line_that_was_cut_off_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(f"{COLUMNS}1.0,2,3,\n2.0,3")
    write(tmp_path, "3.0,4,5,\n")
    assert [one.text_tokens for one in replayed(tmp_path)] == [2, 4]


def test_a_record_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = Served(tmp_path / "nowhere")
    record.write(["1.0,2,3,\n"])
    record.write(["1.0,2,3,\n"])
    [line] = caplog.messages
    assert line.startswith("what was asked is not recorded: ")


def test_a_folder_without_a_record_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=f"expected {NAME} in the folder of a journal, got none"):
        replayed(tmp_path)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("1.0,2,3,64x", "line 2, column image_sizes: expected at most 1000 sizes like 640x480"),
        ("1.0,2,3,0x5", "got 0x5"),
        ("-1,2,3,", "column arrival_s: expected a number of seconds, 0 or more, got -1"),
        ("1.0,2,x,", "column generated_tokens: expected a whole number"),
        ("1.0,2", "line 2: expected 4 columns, got 2"),
    ],
)
def test_a_bad_line_is_named(row: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(f"{COLUMNS}{row}\n")
    with pytest.raises(BadTrace, match=expected):
        replayed(tmp_path)


def write(folder: Path, *lines: str) -> None:
    """As a controller does in its life."""
    record = Served(folder)
    record.begin()
    record.write(lines)


def picture(width: int, height: int) -> bytes:
    Image.new("RGB", (width, height)).save(file := BytesIO(), "PNG")
    return file.getvalue()
