"""How figures are compared and shown."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from msgspec import json
from rich.console import Console

from modserve.bench import machine
from modserve.bench.report import Figure, Part, Report, compared, show


def test_the_ratio_is_the_median_of_the_rounds() -> None:
    figure = compared("a", "s", [1.0, 2.0, 9.0], "b", [1.0, 4.0, 3.0])
    assert (figure.value, figure.reference, figure.ratio) == (2.0, 3.0, 1.0)


def test_values_and_references_must_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compared("a", "s", [1.0, 2.0], "b", [1.0])


@pytest.mark.parametrize(("ratio", "met"), [(0.69, False), (0.70, True), (None, False)])
def test_a_goal_is_the_least_ratio(ratio: float | None, met: bool) -> None:
    assert Figure("a", 1.0, "s", ratio=ratio, goal=0.70).met is met


def test_a_figure_without_a_goal_is_met() -> None:
    assert Figure("a", 1.0, "s", ratio=0.1).met


def test_a_report_is_json_with_the_machine_beside_the_figures(tmp_path: Path) -> None:
    part = Part("Title", 1.0, [compared("a", "tok/s", [3.0], "b", [2.0], goal=1.1)])
    file = tmp_path / "made" / "report.json"
    Report(machine.describe(), {"quick": True}, {"decode": part}).write(file)
    read = json.decode(file.read_bytes())
    assert read["machine"]["torch"]
    assert read["parts"]["decode"]["figures"][0]["ratio"] == 1.5


def test_the_table_shows_value_reference_ratio_and_goal() -> None:
    out = StringIO()
    part = Part("Title", 1.0, [compared("a", "tok/s", [1500.0], "the other", [2.0], goal=1.1)])
    show(part, Console(file=out, width=110))
    for cell in ("1,500 tok/s", "the other", "2.00 tok/s", "750.00", "≥ 1.10"):
        assert cell in out.getvalue()
