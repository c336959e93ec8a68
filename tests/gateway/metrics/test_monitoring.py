"""The dashboard and the alerts of examples/ ask for metrics and labels that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from modserve.gateway.metrics.exposition import exposition
from modserve.tests.cli.top.statuses import recorded

FOLDER = Path(__file__).parents[3] / "examples" / "monitoring"
NAME = re.compile(r"\bmodserve_[a-z0-9_]+")
SELECTOR = re.compile(r"(modserve_[a-z0-9_]+)\{([^}]*)\}")
WORDS = re.compile(r'([a-z_]+)\s*=~?\s*"([^"]*)"')


def samples() -> dict[str, list[dict[str, str]]]:
    """Labels of all samples, by name, of a report that has everything."""
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(exposition(recorded("three")[0]).decode()):
        for one in family.samples:
            found.setdefault(one.name, []).append(one.labels)
    found["modserve_events_total"] = [{"kind": "scaling"}]
    return found


def dashboard() -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads((FOLDER / "grafana.json").read_bytes())
    return body


def expressions() -> list[str]:
    panels = [target["expr"] for one in dashboard()["panels"] for target in one.get("targets", ())]
    alerts = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    return panels + [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("expression", expressions())
def test_what_is_asked_for_is_told(expression: str) -> None:
    there = samples()
    assert NAME.findall(expression)
    assert set(NAME.findall(expression)) <= there.keys()
    for name, selector in SELECTOR.findall(expression):
        for label, value in WORDS.findall(selector):
            assert any(one.get(label) == value for one in there[name]), (name, label, value)
    for labels in re.findall(r"\bby \(([^)]*)\)", expression):
        wanted = {label.strip() for label in labels.split(",")}
        names = NAME.findall(expression)
        assert any(wanted <= one.keys() for name in names for one in there[name])


def test_legends_name_labels_that_are_left() -> None:
    there = samples()
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            kept = re.findall(r"\bby \(([^)]*)\)", target["expr"])
            (name, *_) = NAME.findall(target["expr"])
            known = set(re.split(r",\s*", kept[0])) if kept else there[name][0].keys()
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= set(known)


def test_panels_have_places_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))


def test_prometheus_is_told_where_a_gateway_is() -> None:
    body = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    (job,) = body["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    assert job["static_configs"][0]["targets"] == ["127.0.0.1:8000"]
    assert all((FOLDER / name).is_file() for name in body["rule_files"])
