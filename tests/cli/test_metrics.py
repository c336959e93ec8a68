"""metrics: one page on stdout."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from modserve.cli.main import run

from ..client.scripted import scripted
from .test_asking import reporting
from .top.statuses import recorded


def test_metrics_prints_what_a_gateway_would_serve(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with scripted(reporting(recorded("three")[0])) as controller:
        assert run(["metrics", "--controller", controller.endpoint]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    families = [one.name for one in text_string_to_metric_families(told.out)]
    assert "modserve_num_requests_running" in families
    assert len(families) == len(set(families))
