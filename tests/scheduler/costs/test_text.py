"""The shape of a text step's cost."""

from __future__ import annotations

import pytest

from modserve.scheduler.costs.text import TextCost, TextWork


def test_a_decode_costs_more_than_its_row() -> None:
    cost = TextCost(1.0, 0.0, 0.1, 0.0, 0.0, decode_s=0.5)
    assert cost.seconds(TextWork(decodes=2)) == pytest.approx(1 + 0.2 + 1.0)
    assert cost.seconds(TextWork([(0, 2)])) == pytest.approx(1.2)
